using Weir.Proxy.Configuration;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>What one loop works with: its hosts, its balancer, its log. Nothing of it is shared with another loop.</summary>
sealed class Worker
{
    /// <summary>Connections of one loop at a time; more are closed at once.</summary>
    const int MaximumConnections = 32_768;

    readonly HashSet<IConnection> connections = [];
    readonly Dictionary<SocketAddressV4, ListeningSocket> listening = [];

    public Worker(EventLoop loop, ProxyEngine engine, uint seed)
    {
        Loop = loop;
        Engine = engine;
        Hosts = new UpstreamHosts(loop);
        Balancer = new Balancer(Hosts, seed);
        AccessLog = new AccessLog(loop);
        RequestIds = new RequestIdSource(seed);
    }

    public EventLoop Loop { get; }
    public ProxyEngine Engine { get; }
    public UpstreamHosts Hosts { get; }
    public Balancer Balancer { get; }
    public AccessLog AccessLog { get; }
    public RequestIdSource RequestIds { get; }
    public bool IsDraining { get; private set; }
    public int ActiveConnections => connections.Count;

    /// <summary>Takes over a bound socket and serves what comes in by it.</summary>
    public void Listen(SocketAddressV4 address, int fd, string listener) =>
        listening[address] = ListeningSocket.Start(Loop, fd, (socket, peer) => Accept(socket, peer, listener));

    /// <summary>Connections already accepted go on.</summary>
    public void StopListening(SocketAddressV4 address)
    {
        if (listening.Remove(address, out var socket))
        {
            socket.Close();
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

        foreach (var connection in connections.ToList())
        {
            connection.Drain();
        }
    }

    public void Remove(IConnection connection) => connections.Remove(connection);

    void Accept(AsyncSocket socket, SocketAddressV4 peer, string listenerName)
    {
        if (connections.Count >= MaximumConnections || !Engine.Configuration.Listeners.TryGetValue(listenerName, out var listener))
        {
            socket.Close();
            return;
        }

        IConnection connection = listener.Kind == ListenerKind.Tcp
            ? new TcpConnection(this, socket, listener)
            : new HttpConnection(this, socket, peer, listener);
        connections.Add(connection);
        connection.Start();
    }
}

/// <summary>A downstream connection, as its worker sees it.</summary>
interface IConnection
{
    void Start();

    /// <summary>Ends it now if it is idle, else after what it is doing.</summary>
    void Drain();
}

/// <summary>Values for <c>x-request-id</c>: UUIDs of version 4 from a fast generator, unique but not secret.</summary>
sealed class RequestIdSource(uint seed)
{
    readonly Random random = new((int)seed);
    readonly byte[] bytes = new byte[16];

    public ReadOnlySpan<byte> Next(Span<byte> target)
    {
        random.NextBytes(bytes);
        bytes[7] = (byte)((bytes[7] & 0x0f) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        new Guid(bytes).TryFormat(target, out var written, "D");
        return target[..written];
    }
}
