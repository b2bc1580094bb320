using Weir.Proxy.Configuration;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Listeners;

/// <summary>The data plane: its loops, the configuration they read, and the sockets they listen on.</summary>
public sealed class ProxyEngine
{
    readonly EventLoop[] loops;
    readonly Worker[] workers;
    readonly Dictionary<SocketAddressV4, string> bound = [];
    readonly ListenerConfiguration? status;
    volatile ProxyConfiguration configuration = ProxyConfiguration.Empty;

    /// <param name="statusAddress">Where readiness and metrics are served; null for nowhere.</param>
    public ProxyEngine(int concurrency, StatsRegistry stats, TimeProvider time, int seed, SocketAddressV4? statusAddress)
    {
        Stats = stats;
        loops = [.. Enumerable.Range(0, concurrency).Select(i => new EventLoop(i, time))];
        workers = [.. loops.Select(l => new Worker(l, this, (uint)(seed + (l.Index * 7919))))];
        if (statusAddress is { } address)
        {
            status = new ListenerConfiguration("status", [address], ListenerKind.Status, "", "", true, false, false, 60_000, 16 * 1024);
        }
    }

    public StatsRegistry Stats { get; }

    public ProxyConfiguration Configuration => configuration;

    /// <summary>Asked by the readiness endpoint.</summary>
    public Func<bool> IsReady { get; set; } = () => true;

    public bool IsDraining { get; private set; }

    /// <exception cref="IOException">The status address is taken.</exception>
    public void Start()
    {
        if (Publish(ProxyConfiguration.Empty) is { } error)
        {
            throw new IOException(error);
        }

        foreach (var loop in loops)
        {
            loop.Start();
        }
    }

    /// <summary>
    /// Puts a configuration in force: new addresses are bound first, and if one cannot be, nothing changes. Called by one thread
    /// at a time.
    /// </summary>
    /// <returns>Null, or why it was not put in force.</returns>
    public string? Publish(ProxyConfiguration next)
    {
        if (IsDraining)
        {
            return null;
        }

        if (status is not null)
        {
            var listeners = next.Listeners.ToDictionary();
            listeners["status"] = status;
            next = next with { Listeners = System.Collections.Frozen.FrozenDictionary.ToFrozenDictionary(listeners) };
        }

        var wanted = new Dictionary<SocketAddressV4, string>();
        foreach (var listener in next.Listeners.Values)
        {
            foreach (var address in listener.Addresses)
            {
                if (!wanted.TryAdd(address, listener.Name))
                {
                    return $"listener {listener.Name}: {address} is taken by listener {wanted[address]}";
                }
            }
        }

        // An address whose listener has another name now is bound anew: the socket knows its listener by name.
        var gone = bound.Where(b => wanted.GetValueOrDefault(b.Key) != b.Value).Select(b => b.Key).ToList();
        var added = wanted.Where(w => bound.GetValueOrDefault(w.Key) != w.Value).ToList();
        if (Bind([.. added.Select(a => a.Key).Where(a => !gone.Contains(a))], out var sockets) is { } error)
        {
            return error;
        }

        configuration = next;
        foreach (var address in gone)
        {
            bound.Remove(address);
            Array.ForEach(workers, w => w.Loop.Post(() => w.StopListening(address)));
        }

        foreach (var (address, name) in added)
        {
            bound[address] = name;
            for (var i = 0; i < workers.Length; i++)
            {
                var worker = workers[i];
                var fd = sockets.TryGetValue(address, out var fds) ? fds[i] : ListeningSocket.Bind(address, isShared: true);
                if (fd >= 0)
                {
                    worker.Loop.Post(() => worker.Listen(address, fd, name));
                }
            }
        }

        return null;
    }

    string? Bind(List<SocketAddressV4> addresses, out Dictionary<SocketAddressV4, int[]> sockets)
    {
        sockets = [];
        foreach (var address in addresses)
        {
            var fds = new List<int>();
            for (var i = 0; i < workers.Length; i++)
            {
                var fd = ListeningSocket.Bind(address, isShared: workers.Length > 1);
                if (fd < 0)
                {
                    foreach (var open in sockets.Values.SelectMany(s => s).Concat(fds))
                    {
                        _ = Native.Close(open);
                    }

                    return $"cannot listen on {address}: {(fd == -98 ? "address already in use" : $"errno {-fd}")}";
                }

                fds.Add(fd);
            }

            sockets[address] = [.. fds];
        }

        return null;
    }

    /// <summary>Stops accepting, finishes what is being served, and returns when all is done or the limit is reached.</summary>
    public async Task DrainAsync(TimeSpan limit, TimeProvider time)
    {
        IsDraining = true;
        Array.ForEach(workers, w => w.Loop.Post(w.Drain));
        var deadline = time.GetUtcNow() + limit;
        while (time.GetUtcNow() < deadline && Array.Exists(workers, w => w.ActiveConnections > 0))
        {
            await Task.Delay(TimeSpan.FromMilliseconds(10), time).ConfigureAwait(false);
        }

        Array.ForEach(loops, l => l.Stop());
        Array.ForEach(loops, l => l.Join());
    }

    /// <summary>Runs an action on one of the loops, where its own counters can be read.</summary>
    internal void Post(int loop, Action action) => loops[loop].Post(action);

    internal int ActiveConnections => workers.Sum(w => w.ActiveConnections);
}
