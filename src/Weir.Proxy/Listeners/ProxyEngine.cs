using System.Collections.Frozen;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Filters;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Overload;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>Settings of the data plane that are not configuration: they hold for the life of the process.</summary>
public sealed record EngineOptions
{
    /// <summary>Event loops.</summary>
    public int Concurrency { get; init; } = 1;

    /// <summary>Of random choices.</summary>
    public int Seed { get; init; }

    /// <summary>Of request and trace ids, so that they come again; null for what the operating system gives.</summary>
    public ulong? RequestIdSeed { get; init; }

    /// <summary>Downstream connections at a time; more are turned away.</summary>
    public int MaximumConnections { get; init; } = 65_536;

    /// <summary>How long what is kept for use may lie unused, and a loop must have had little to do to count as quiet.</summary>
    public TimeSpan QuietTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Descriptors that the process may have open; 0 for what the machine says when it starts.</summary>
    public long DescriptorLimit { get; init; }

    /// <summary>Resident bytes above which requests are refused; 0 for no limit.</summary>
    public long MemoryLimit { get; init; }
}

/// <summary>A listener that could not be put in force.</summary>
/// <param name="MayPass">Somebody else has its address, and may give it up.</param>
sealed record PublishError(string Listener, string Message, bool MayPass = false);

/// <summary>What is to be said of a resource: why it was refused, or what of it is not carried out.</summary>
sealed record ResourceNote(string Type, string Name, bool IsRefused, string Text);

/// <summary>The data plane: its loops, the configuration they read, and the sockets they listen on.</summary>
public sealed class ProxyEngine : IWorkerOwner
{
    /// <summary>How long the end waits for whoever reads the access log.</summary>
    static readonly TimeSpan LogPatience = TimeSpan.FromSeconds(2);

    readonly EventLoop[] loops;

    /// <summary>Those that serve traffic.</summary>
    readonly Worker[] workers;

    /// <summary>Serves the proxy's own pages, on a thread of its own: what they take holds up no request, and no request holds up a probe.</summary>
    readonly Worker administration;
    readonly EngineOptions options;
    readonly Dictionary<SocketAddressV4, (string Listener, int[] Descriptors)> bound = [];
    readonly Dictionary<string, ListenerConfiguration> own = [];
    readonly Lock publishing = new();
    readonly HashSet<SocketAddressV4> refused = [];
    Dictionary<SocketAddressV4, List<int>> inherited = [];
    volatile FrozenDictionary<string, ListenerConfiguration> listeners = FrozenDictionary<string, ListenerConfiguration>.Empty;
    volatile bool isOverloaded;

    public ProxyEngine(EngineOptions options, StatsRegistry stats, TimeProvider time, ProxyLog log)
    {
        this.options = options;
        Stats = stats;
        Log = log;
        StartedAt = time.GetUtcNow();
        loops = [.. Enumerable.Range(0, options.Concurrency + 1).Select(i => new EventLoop(i, time) { OnFault = Report, OnWarning = log.Warning })];
        workers = [.. loops[..options.Concurrency].Select(l => MakeWorker(l, Math.Max(1, options.MaximumConnections / options.Concurrency)))];
        administration = MakeWorker(loops[^1], MaximumOwnConnections);
        LogFiles = new LogFiles(options.Concurrency, log);
    }

    const int MaximumOwnConnections = 1024;

    Worker MakeWorker(EventLoop loop, int maximumConnections)
    {
        var seed = (uint)(options.Seed + (loop.Index * 7919));
        var exchanges = new ExchangeServices(loop, new Upstreams(loop, seed), Stats, CreateRequestIds(loop.Index), Report) { IsOverloaded = () => isOverloaded };
        var worker = new Worker(loop, this, exchanges, maximumConnections)
        {
            Descriptors = loop.Index == options.Concurrency ? null : DescriptorBudget.For(options.DescriptorLimit > 0 ? options.DescriptorLimit : DescriptorLimit.Current).PerLoop(options.Concurrency),
        };
        new Trimming(worker, (int)options.QuietTime.TotalMilliseconds).OnDue();
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

    /// <summary>Called on a loop that has little to do, after it had much.</summary>
    public Action OnQuiet { get; set; } = () => { };

    /// <summary>Called when the administration pages ask for an end.</summary>
    public Action OnQuit { get; set; } = () => { };

    public bool IsDraining { get; private set; }

    public bool IsOverloaded => isOverloaded;

    internal int Concurrency => options.Concurrency;

    internal TimeSpan QuietTime => options.QuietTime;

    internal RequestIdSource CreateRequestIds(int loop) => options.RequestIdSeed is { } seed ? new RequestIdSource(seed + (ulong)loop) : new RequestIdSource();

    internal int ActiveConnections => workers.Sum(w => w.Connections.Count);

    internal long DroppedSpans => workers.Sum(w => w.Exchanges.DroppedSpans);

    internal long Http2Floods => workers.Sum(w => w.Http2Floods);

    internal long ShedConnections => workers.Sum(w => w.ShedConnections);

    internal (long Done, long Failed) Handshakes => (workers.Sum(w => w.HandshakesDone), workers.Sum(w => w.HandshakesFailed));

    ListenerConfiguration? IWorkerOwner.FindListener(string name) => listeners.GetValueOrDefault(name);

    void IWorkerOwner.OnQuiet() => OnQuiet();

    /// <exception cref="IOException">The status or administration address is taken.</exception>
    /// <param name="inheritedSockets">Of a predecessor; closed if they turn out not to be needed.</param>
    public void Start(Dictionary<SocketAddressV4, List<int>>? inheritedSockets = null)
    {
        // OpenSSL and the log write where nobody may be reading any more.
        _ = Native.Signal(Native.SigPipe, Native.SigIgnore);
        inherited = inheritedSockets ?? [];
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
            if (IsDraining)
            {
                return null;
            }

            var error = Publish_NeedsLock(next);
            refused.UnionWith(error is not null && next.TryGetValue(error.Listener, out var loser) ? loser.Addresses : []);
            refused.ExceptWith(bound.Keys);
            return error;
        }
    }

    PublishError? Publish_NeedsLock(FrozenDictionary<string, ListenerConfiguration> next)
    {
        next = next.Where(l => !own.ContainsKey(l.Key)).Concat(own).ToFrozenDictionary();
        var wanted = new Dictionary<SocketAddressV4, string>();
        foreach (var listener in next.Values)
        {
            foreach (var address in listener.Addresses)
            {
                if (!wanted.TryAdd(address, listener.Name))
                {
                    // The one that has the address keeps it.
                    var (loser, keeper) = bound.TryGetValue(address, out var holder) && holder.Listener == listener.Name
                        ? (wanted[address], listener.Name) : (listener.Name, wanted[address]);
                    return new PublishError(loser, $"listener {loser}: {address} is taken by listener {keeper}");
                }
            }
        }

        // An address whose listener has another name now keeps its sockets: nobody is refused meanwhile.
        var gone = bound.Where(b => !wanted.ContainsKey(b.Key)).Select(b => b.Key).ToList();
        var added = wanted.Where(w => !bound.ContainsKey(w.Key)).ToList();
        var renamed = wanted.Where(w => bound.TryGetValue(w.Key, out var b) && b.Listener != w.Value).ToList();
        if (Bind(added, out var sockets) is { } error)
        {
            return error;
        }

        var before = listeners;
        listeners = next;
        foreach (var address in gone)
        {
            bound.Remove(address);
            Array.ForEach(All, w => w.Loop.Post(() => w.StopListening(address)));
        }

        foreach (var (address, name) in renamed)
        {
            bound[address] = (name, bound[address].Descriptors);
            Array.ForEach(All, w => w.Loop.Post(() => w.Rename(address, name)));
        }

        foreach (var (address, name) in added)
        {
            bound[address] = (name, sockets[address]);
            for (var i = 0; i < sockets[address].Length; i++)
            {
                var serving = ServingOf(name);
                var (worker, descriptor) = (serving[i % serving.Length], sockets[address][i]);
                worker.Loop.Post(() => worker.Listen(address, descriptor, name));
            }
        }

        if (before.Values.Any(l => !next.TryGetValue(l.Name, out var now) || !ReferenceEquals(now.Chains, l.Chains)))
        {
            Array.ForEach(workers, w => w.Loop.Post(() => w.RetireWhere(chain => (!next.TryGetValue(chain.Listener, out var now) || !now.Chains.All.Any(n => n.Identity == chain.Identity)))));
        }

        return null;
    }

    /// <summary>Closes what is idle to endpoints that are no longer there.</summary>
    internal void RetireEndpoints(Cluster? before, Cluster? now)
    {
        if (before is null || ReferenceEquals(before, now))
        {
            return;
        }

        var kept = now?.All.Endpoints.Select(e => e.State).ToHashSet() ?? [];
        foreach (var state in before.All.Endpoints.Select(e => e.State).Where(s => !kept.Contains(s)))
        {
            Array.ForEach(workers, w => w.Loop.Post(() => state.ByLoop[w.Loop.Index]?.Dispose()));
        }
    }

    Worker[] All => [.. workers, administration];

    Worker[] ServingOf(string listener) => own.ContainsKey(listener) ? [administration] : workers;

    PublishError? Bind(List<KeyValuePair<SocketAddressV4, string>> addresses, out Dictionary<SocketAddressV4, int[]> sockets)
    {
        sockets = [];
        var opened = new List<int>();
        var claimed = new Dictionary<SocketAddressV4, List<int>>();
        foreach (var (address, listener) in addresses)
        {
            var descriptors = new List<int>();
            if (inherited.Remove(address, out var taken))
            {
                claimed[address] = taken;
            }

            var serving = ServingOf(listener).Length;
            for (var i = 0; i < Math.Max(serving, taken?.Count ?? 0); i++)
            {
                var fd = taken is null ? ListeningSocket.Bind(address, isShared: serving > 1)
                    : i < taken.Count ? taken[i]
                    : Native.Duplicate(taken[i % taken.Count]);
                if (fd < 0)
                {
                    // What was opened here is closed. What a predecessor left stays open: clients may be waiting in its queue.
                    opened.ForEach(o => _ = Native.Close(o));
                    claimed.ToList().ForEach(c => inherited[c.Key] = c.Value);
                    return new PublishError(listener, $"listener {listener}: cannot listen on {address}: {Failure.OfErrno(taken is null ? -fd : Native.Errno)}", taken is null && fd == -Native.EaddrInUse);
                }

                descriptors.Add(fd);
                if (taken is null || i >= taken.Count)
                {
                    opened.Add(fd);
                }
            }

            sockets[address] = [.. descriptors];
        }

        return null;
    }

    /// <summary>Each socket of a predecessor serves, or no listener asks for it; false while one that does is refused.</summary>
    public bool ServesInherited
    {
        get
        {
            lock (publishing)
            {
                return !inherited.Keys.Any(refused.Contains);
            }
        }
    }

    /// <summary>The listening sockets, for a successor.</summary>
    public List<(SocketAddressV4 Address, int Descriptor)> ListeningSockets()
    {
        lock (publishing)
        {
            return [.. bound.SelectMany(b => b.Value.Descriptors.Select(d => (b.Key, d)))];
        }
    }

    /// <summary>Closes what a predecessor left that no listener wanted.</summary>
    public void CloseInherited()
    {
        lock (publishing)
        {
            foreach (var descriptor in inherited.Values.SelectMany(d => d))
            {
                _ = Native.Close(descriptor);
            }

            inherited = [];
        }
    }

    /// <summary>Takes no more connections; those there are go on, each until its request at hand is done.</summary>
    /// <returns>Done when no loop accepts any more.</returns>
    public Task BeginDrain()
    {
        lock (publishing)
        {
            IsDraining = true;
        }

        return OnWorkers(static w => w.Drain());
    }

    /// <returns>Done when each has done it.</returns>
    Task OnWorkers(Action<Worker> action) => Task.WhenAll(workers.Select(w =>
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        w.Loop.Post(() =>
        {
            try
            {
                action(w);
            }
            finally
            {
                done.SetResult();
            }
        });
        return done.Task;
    }));

    /// <summary>For a request that is on its way on a connection that was idle when draining began.</summary>
    static readonly TimeSpan DrainGrace = TimeSpan.FromSeconds(1);

    /// <summary>Stops accepting, finishes what is being served, and returns when all is done or the limit is reached.</summary>
    public async Task DrainAsync(TimeSpan limit, TimeProvider time)
    {
        // Counting before that would miss who is accepted in between.
        await BeginDrain().ConfigureAwait(false);
        var start = time.GetUtcNow();
        var deadline = start + limit;
        var isGraceOver = false;
        while (time.GetUtcNow() < deadline && Array.Exists(workers, w => w.Connections.Count > 0))
        {
            if (!isGraceOver && time.GetUtcNow() - start >= DrainGrace)
            {
                isGraceOver = true;
                Array.ForEach(workers, w => w.Loop.Post(w.CloseIdle));
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10), time).ConfigureAwait(false);
        }

        // What is cut off by the limit is logged as well.
        await OnWorkers(static w => w.Cut()).ConfigureAwait(false);
        Array.ForEach(loops, l => l.Stop());
        Array.ForEach(loops, l => l.Join());
        LogFiles.Flush(LogPatience);
    }

    /// <summary>A defect: whatever was being done ends, everything else goes on.</summary>
    internal void Report(Exception e) => Log.Error($"internal error: {e}");

    /// <summary>Runs an action on one of the loops, where its own counters can be read.</summary>
    internal void Post(int loop, Action action) => loops[loop].Post(action);

    /// <summary>Looks now and then at what is no longer needed.</summary>
    sealed class Trimming(Worker worker, int milliseconds) : TimerEntry
    {
        /// <summary>Turns in a second up to which a loop is quiet: it wakes by itself about once, and for metrics that are fetched.</summary>
        const int QuietTurns = 20;

        long turns;
        bool isQuiet = true;

        public override void OnDue()
        {
            worker.Trim();
            var loop = worker.Loop;
            var wasQuiet = isQuiet;
            isQuiet = (loop.Turn - turns) * 1000 <= (long)QuietTurns * milliseconds;
            turns = loop.Turn;
            if (isQuiet && !wasQuiet)
            {
                worker.Owner.OnQuiet();
            }

            loop.Timers.Set(this, loop.Now + milliseconds);
        }
    }
}
