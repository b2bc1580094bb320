using Weir.Proxy.Configuration;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;
using Weir.Proxy.Tracing;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>What one loop works with: its connections, its balancer, its pools. Nothing of it is shared with another loop.</summary>
sealed class Worker
{
    /// <summary>Turns in a second up to which a loop is quiet: it wakes by itself about once, and for metrics that are fetched.</summary>
    const int QuietTurns = 20;

    readonly LinkedConnections connections = new();
    readonly Dictionary<SocketAddressV4, (string Listener, List<ListeningSocket> Sockets)> listening = [];
    readonly Spares<HttpSession> spareSessions = new(2048);
    readonly Dictionary<TracingOptions, SpanExporter> exporters = [];
    readonly int maximumConnections;
    ulong nextConnection;

    public Worker(EventLoop loop, ProxyEngine engine, uint seed, int maximumConnections)
    {
        Loop = loop;
        Engine = engine;
        this.maximumConnections = maximumConnections;
        Balancer = new Balancer(loop, seed);
        Handshakes = new HandshakeQueue(loop);
        Connector = new UpstreamConnector(loop, Handshakes);
        RequestIds = new RequestIdSource(seed);
        new Trimming(this, (int)engine.QuietTime.TotalMilliseconds).OnDue();
    }

    public EventLoop Loop { get; }
    public ProxyEngine Engine { get; }
    public Balancer Balancer { get; }
    public HandshakeQueue Handshakes { get; }
    public UpstreamConnector Connector { get; }
    public RequestIdSource RequestIds { get; }
    public bool IsDraining { get; private set; }
    public int ActiveConnections => connections.Count;

    /// <summary>Connections turned away because there were too many.</summary>
    public long ShedConnections { get; private set; }

    /// <summary>Takes over a bound socket and serves what comes in by it.</summary>
    public void Listen(SocketAddressV4 address, int fd, string listener)
    {
        if (!listening.TryGetValue(address, out var entry))
        {
            listening[address] = entry = (listener, []);
        }

        entry.Sockets.Add(ListeningSocket.Start(Loop, fd, (accepted, peer) => Accept(accepted, peer, address)));
    }

    /// <summary>From now on another listener serves what comes in there.</summary>
    public void Rename(SocketAddressV4 address, string listener)
    {
        if (listening.TryGetValue(address, out var entry))
        {
            listening[address] = (listener, entry.Sockets);
        }
    }

    /// <summary>Connections already accepted go on.</summary>
    public void StopListening(SocketAddressV4 address)
    {
        if (listening.Remove(address, out var entry))
        {
            entry.Sockets.ForEach(s => s.Close());
        }
    }

    /// <summary>Takes no more connections and lets each go after the request at hand.</summary>
    public void Drain()
    {
        IsDraining = true;
        foreach (var address in listening.Keys.ToList())
        {
            StopListening(address);
        }

        connections.ForEach(c => c.Drain());
    }

    /// <summary>Lets go of the connections of listeners and filter chains that are gone, each with its next answer.</summary>
    public void RetireWhere(Func<Connection, bool> isGone) => connections.ForEach(c =>
    {
        if (isGone(c))
        {
            c.Retire();
        }
    });

    public void Add(Connection connection) => connections.Add(connection);

    public void Remove(Connection connection) => connections.Remove(connection);

    public UpstreamHost HostOf(Endpoint endpoint, Cluster cluster) =>
        endpoint.State.ByLoop[Loop.Index] ??= new UpstreamHost(Loop, endpoint.Address, cluster.Loads[Loop.Index]);

    public HttpSession RentSession() => spareSessions.TryTake() ?? new HttpSession(this);

    public void Return(HttpSession session) => spareSessions.TryPut(session);

    public SpanExporter ExporterFor(TracingOptions options)
    {
        if (!exporters.TryGetValue(options, out var exporter))
        {
            exporters[options] = exporter = new SpanExporter(this, options);
        }

        return exporter;
    }

    /// <summary>Starts serving a connection whose filter chain is known.</summary>
    public void Serve(AsyncSocket socket, Downstream downstream, FilterChain chain)
    {
        Connection connection = chain.Http is not null
            ? new HttpConnection(this, socket, downstream, chain)
            : new TcpConnection(this, socket, downstream, chain);
        Add(connection);
        connection.Begin();
    }

    /// <summary>Looks now and then at what is no longer needed.</summary>
    sealed class Trimming(Worker worker, int milliseconds) : TimerEntry
    {
        long turns;
        bool isQuiet = true;

        public override void OnDue()
        {
            worker.spareSessions.Trim();
            worker.Loop.Buffers.Trim();
            var wasQuiet = isQuiet;
            isQuiet = (worker.Loop.Turn - turns) * 1000 <= (long)QuietTurns * milliseconds;
            turns = worker.Loop.Turn;
            if (isQuiet && !wasQuiet)
            {
                worker.Engine.OnQuiet();
            }

            worker.Loop.Timers.Set(this, worker.Loop.Now + milliseconds);
        }
    }

    public ulong NextConnectionId() => ++nextConnection;

    void Accept(int fd, SocketAddressV4 peer, SocketAddressV4 local)
    {
        var listenerName = listening[local].Listener;
        if (local.Address == 0)
        {
            local = SocketAddressV4.OfSocket(fd);
        }

        if (!Engine.Listeners.TryGetValue(listenerName, out var listener) || (connections.Count >= maximumConnections && !listener.IsStatus))
        {
            ShedConnections++;
            ListeningSocket.TurnAway(fd, listener?.Chains.Only?.Http is not null && listener.Chains.Only.Tls is null);
            return;
        }

        var socket = AsyncSocket.Accepted(Loop, fd);
        if (listener.Chains.Only is { Tls: null } chain && !listener.InspectsProxyProtocol)
        {
            Serve(socket, new Downstream(NextConnectionId(), peer, peer, local, "", null), chain);
            return;
        }

        var setup = new ConnectionSetup(this, socket, peer, local, listener);
        Add(setup);
        setup.Begin();
    }
}
