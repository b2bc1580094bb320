using System.Collections.Frozen;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Filters;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Overload;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;
using Weir.Xds.Client;

namespace Weir.Proxy.Listeners;

/// <summary>What is to be said of a resource: why it was refused, or what of it is not carried out.</summary>
sealed record ResourceNote(string Type, string Name, bool IsRefused, string Text);

/// <summary>The data plane: its loops, the configuration they read, and the sockets they listen on.</summary>
public sealed class ProxyEngine : IWorkerOwner
{
    /// <summary>How long the end waits for whoever reads the access log.</summary>
    static readonly TimeSpan LogPatience = TimeSpan.FromSeconds(2);

    readonly EventLoop[] loops;

    readonly EngineOptions options;
    readonly Dictionary<string, ListenerConfiguration> own = [];
    readonly Lock publishing = new();
    readonly ListeningSockets sockets = new();
    volatile FrozenDictionary<string, ListenerConfiguration> listeners = FrozenDictionary<string, ListenerConfiguration>.Empty;
    volatile bool isOverloaded;

    public ProxyEngine(EngineOptions options, StatsRegistry stats, TimeProvider time, ProxyLog log)
    {
        this.options = options;
        Stats = stats;
        Log = log;
        StartedAt = time.GetUtcNow();
        loops = [.. Enumerable.Range(0, options.Concurrency + 1).Select(i => new EventLoop(i, time) { OnFault = Report, OnWarning = log.Warning })];
        var each = Math.Max(1, options.MaximumConnections / options.Concurrency);
        Workers = new WorkerGroup([.. loops[..options.Concurrency].Select(l => MakeWorker(l, each))], MakeWorker(loops[^1], MaximumOwnConnections));
        LogFiles = new LogFiles(options.Concurrency, log);
    }

    const int MaximumOwnConnections = 1024;

    Worker MakeWorker(EventLoop loop, int maximumConnections)
    {
        var seed = (uint)(options.Seed + (loop.Index * 7919));
        var exchanges = new ExchangeServices(loop, new Upstreams(loop, seed), Stats, CreateRequestIds(loop.Index), Report) { IsOverloaded = () => isOverloaded };
        var isServing = loop.Index < options.Concurrency;
        var budget = DescriptorBudget.For(options.DescriptorLimit > 0 ? options.DescriptorLimit : DescriptorLimit.Current).PerLoop(options.Concurrency);
        loop.MostToConnect = isServing ? budget.ForUpstreams : long.MaxValue;
        var worker = new Worker(loop, this, exchanges, maximumConnections) { MostForClients = isServing ? budget.ForClients : long.MaxValue };
        new Trimming(worker, options.QuietTime).Begin();
        return worker;
    }

    public StatsRegistry Stats { get; }

    public ProxyLog Log { get; }

    public DateTimeOffset StartedAt { get; }

    internal LogFiles LogFiles { get; }

    /// <summary>In force, with the proxy's own.</summary>
    internal FrozenDictionary<string, ListenerConfiguration> Listeners => listeners;

    internal int OwnListeners => own.Count;

    internal ClusterTable Clusters { get; } = new();

    /// <summary>Asked by the readiness endpoint.</summary>
    public Func<bool> IsReady { get; set; } = () => true;

    /// <summary>What the control plane sent and the proxy could not use, or not the whole of. Replaced as a whole.</summary>
    internal IReadOnlyList<ResourceNote> Notes { get; set; } = [];

    /// <summary>How the control plane is followed; null where it is not.</summary>
    public AdsStatus? ControlPlane { get; set; }

    /// <summary>Called on a loop that has little to do, after it had much.</summary>
    public Action OnQuiet { get; set; } = () => { };

    /// <summary>Called when the administration pages ask for an end.</summary>
    public Action OnQuit { get; set; } = () => { };

    public bool IsDraining { get; private set; }

    public bool IsOverloaded => isOverloaded;

    internal int Concurrency => options.Concurrency;

    internal TimeSpan QuietTime => options.QuietTime;

    internal RequestIdSource CreateRequestIds(int loop) => options.RequestIdSeed is { } seed ? new RequestIdSource(seed + (ulong)loop) : new RequestIdSource();

    internal WorkerGroup Workers { get; }

    ListenerConfiguration? IWorkerOwner.FindListener(string name) => listeners.GetValueOrDefault(name);

    void IWorkerOwner.OnQuiet() => OnQuiet();

    /// <exception cref="IOException">The status or administration address is taken.</exception>
    /// <param name="inheritedSockets">Of a predecessor; closed if they turn out not to be needed.</param>
    public void Start(Dictionary<SocketAddressV4, List<int>>? inheritedSockets = null)
    {
        // OpenSSL and the log write where nobody may be reading any more.
        _ = Native.Signal(Native.SigPipe, Native.SigIgnore);
        sockets.Inherit(inheritedSockets ?? []);
        if (Publish(listeners) is { } error)
        {
            throw new IOException(error.Message);
        }

        if (options.MemoryLimit > 0)
        {
            var monitor = new OverloadMonitor(loops[0], options.MemoryLimit, (isOver, why) =>
            {
                isOverloaded = isOver;
                Log.Warning(isOver ? $"overloaded, requests are refused: {why}" : $"no longer overloaded: {why}");
            });
            monitor.Start();
        }

        foreach (var loop in loops)
        {
            loop.Start();
        }
    }

    /// <summary>Serves pages of the proxy's own on an address, by the loop that is kept for them. Called before <see cref="Start"/>.</summary>
    /// <param name="pages">Answers every request.</param>
    internal void AddOwn(string name, SocketAddressV4 address, HttpFilter pages)
    {
        var chain = new FilterChain(name, name, 0, FilterChainMatch.Any, null, 0, new HttpOptions
        {
            Filters = new FilterPlan([pages]),
            IsOwn = true,
            MaximumHeadBytes = 16 * 1024,
            StreamIdleMilliseconds = 60_000,
        }, null, true);
        own[name] = new ListenerConfiguration(name, [address], new FilterChainTable([chain], null)) { IsStatus = true };
    }

    /// <summary>
    /// Puts a configuration in force: new addresses are bound first, and if one cannot be, nothing changes. Connections of listeners
    /// and filter chains that are gone are let finish what they do.
    /// </summary>
    /// <returns>Null, or which listener could not be put in force and why.</returns>
    internal PublishError? Publish(FrozenDictionary<string, ListenerConfiguration> next)
    {
        lock (publishing)
        {
            return IsDraining ? null : Publish_NeedsLock(next);
        }
    }

    PublishError? Publish_NeedsLock(FrozenDictionary<string, ListenerConfiguration> next)
    {
        next = next.Where(l => !own.ContainsKey(l.Key)).Concat(own).ToFrozenDictionary();
        if (sockets.TryChange(next.Values, name => Workers.CountFor(own.ContainsKey(name)), out var error) is not { } changes)
        {
            return error;
        }

        var before = listeners;
        listeners = next;
        Workers.Apply(changes, own.ContainsKey);
        if (before.Values.Any(l => !next.TryGetValue(l.Name, out var now) || !ReferenceEquals(now.Chains, l.Chains)))
        {
            Workers.RetireWhere(chain => !next.TryGetValue(chain.Listener, out var now) || !now.Chains.All.Any(n => n.Identity == chain.Identity));
        }

        return null;
    }

    /// <summary>A listener that was refused is not wanted any more, or comes anew.</summary>
    internal void Forget(string listener)
    {
        lock (publishing)
        {
            sockets.Forget(listener);
        }
    }

    /// <summary>Each socket of a predecessor serves, or no listener asks for it; false while one that does is refused.</summary>
    public bool ServesInherited
    {
        get
        {
            lock (publishing)
            {
                return sockets.ServesInherited;
            }
        }
    }

    /// <summary>The listening sockets, for a successor.</summary>
    public List<(SocketAddressV4 Address, int Descriptor)> ListeningSockets()
    {
        lock (publishing)
        {
            return sockets.All;
        }
    }

    /// <summary>Closes what a predecessor left that no listener wanted.</summary>
    public void CloseInherited()
    {
        lock (publishing)
        {
            sockets.CloseInherited();
        }
    }

    /// <summary>Takes no more connections; those there are go on, each until its request at hand is done.</summary>
    /// <returns>Done when no loop accepts any more.</returns>
    public Task BeginDrain()
    {
        EndPublishing();
        return Workers.BeginDrain();
    }

    void EndPublishing()
    {
        lock (publishing)
        {
            IsDraining = true;
        }
    }

    /// <summary>Stops accepting, finishes what is being served, and returns when all is done or the limit is reached.</summary>
    public async Task DrainAsync(TimeSpan limit, TimeProvider time)
    {
        EndPublishing();
        await Workers.DrainAsync(limit, time).ConfigureAwait(false);
        Array.ForEach(loops, l => l.Stop());
        Array.ForEach(loops, l => l.Join());
        LogFiles.Flush(LogPatience);
    }

    /// <summary>A defect: whatever was being done ends, everything else goes on.</summary>
    internal void Report(Exception e) => Log.Error($"internal error: {e}");

    /// <summary>Runs an action on one of the loops, where its own counters can be read.</summary>
    internal void Post(int loop, Action action) => loops[loop].Post(action);
}
