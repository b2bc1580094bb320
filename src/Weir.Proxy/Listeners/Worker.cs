using Weir.Proxy.Exchanges;
using Weir.Proxy.Http1;
using Weir.Proxy.Http2;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>What a worker is told by whoever made it.</summary>
interface IWorkerOwner
{
    /// <summary>The listener of this name, as it is now; null when there is none.</summary>
    ListenerConfiguration? FindListener(string name);

    /// <summary>The loop had much to do, and now has little.</summary>
    void OnQuiet();
}

/// <summary>What one loop works with: its connections, its balancer, its pools. Nothing of it is shared with another loop.</summary>
sealed class Worker
{
    readonly Dictionary<SocketAddressV4, Acceptor> listening = [];
    readonly Http1Server http1;
    readonly Http2Server http2;
    readonly IWorkerOwner owner;
    readonly int maximumConnections;
    ulong nextConnection;

    public Worker(EventLoop loop, IWorkerOwner owner, ExchangeServices exchanges, int maximumConnections)
    {
        Loop = loop;
        this.owner = owner;
        this.maximumConnections = maximumConnections;
        Exchanges = exchanges;
        Handshakes = new HandshakeQueue(loop, HandshakeLimits.Default);
        http1 = new Http1Server(loop, Connections, exchanges) { OnHttp2Preface = BecomeHttp2 };
        http2 = new Http2Server(loop, Connections, exchanges);
    }

    public EventLoop Loop { get; }

    public ExchangeServices Exchanges { get; }

    public Upstreams Upstreams => Exchanges.Upstreams;

    /// <summary>Those with clients.</summary>
    public HandshakeQueue Handshakes { get; }

    public LinkedConnections Connections { get; } = new();

    public IWorkerOwner Owner => owner;

    public long HandshakesDone { get; private set; }

    public long HandshakesFailed { get; private set; }

    /// <summary>Connections turned away because there were too many.</summary>
    public long ShedConnections { get; private set; }

    public long Http2Floods => http2.Floods;

    public void CountHandshake(bool failed)
    {
        HandshakesDone += failed ? 0 : 1;
        HandshakesFailed += failed ? 1 : 0;
    }

    /// <summary>Takes over a bound socket and serves what comes in by it.</summary>
    public void Listen(SocketAddressV4 address, int fd, string listener)
    {
        if (!listening.TryGetValue(address, out var acceptor))
        {
            listening[address] = acceptor = new Acceptor(this, address, listener);
        }

        if (ListeningSocket.Start(Loop, fd, acceptor) is { } socket)
        {
            acceptor.Sockets.Add(socket);
        }
    }

    /// <summary>From now on another listener serves what comes in there.</summary>
    public void Rename(SocketAddressV4 address, string listener)
    {
        if (listening.TryGetValue(address, out var acceptor))
        {
            acceptor.Listener = listener;
        }
    }

    /// <summary>Connections already accepted go on.</summary>
    public void StopListening(SocketAddressV4 address)
    {
        if (listening.Remove(address, out var acceptor))
        {
            acceptor.Sockets.ForEach(s => s.Close());
        }
    }

    /// <summary>Takes no more connections; each of those there are is told with its next answer that it is the last.</summary>
    public void Drain()
    {
        Connections.IsDraining = true;
        foreach (var address in listening.Keys.ToList())
        {
            StopListening(address);
        }

        Connections.ForEach(c => c.Drain());
    }

    /// <summary>Ends the connections that have had nothing to say while draining.</summary>
    public void CloseIdle() => CloseIdle(int.MaxValue, evenUsed: true);

    /// <summary>Gives idle connections up for those that wait to be accepted: first such as have never asked for anything.</summary>
    public void MakeRoom()
    {
        if (CloseIdle(MostClosedAtOnce, evenUsed: false) == 0)
        {
            CloseIdle(MostClosedAtOnce, evenUsed: true);
        }
    }

    /// <summary>Ends all that is left.</summary>
    public void Cut() => Connections.ForEach(c => c.Cut());

    const int MostClosedAtOnce = 16;

    int CloseIdle(int most, bool evenUsed)
    {
        var closed = 0;
        Connections.ForEach(c => closed += closed < most && c.CloseIdle(evenUsed) ? 1 : 0);
        return closed;
    }

    /// <summary>Lets go of the connections of listeners and filter chains that are gone, each with its next answer.</summary>
    public void RetireWhere(Func<FilterChain, bool> isGone) => Connections.ForEach(c =>
    {
        if (c.ServedBy is FilterChain chain && isGone(chain))
        {
            c.Retire();
        }
    });

    /// <summary>Lets go of what was kept for use and not needed.</summary>
    public void Trim()
    {
        http1.Trim();
        http2.Trim();
        Exchanges.Trim();
        Loop.Buffers.Trim();
    }

    public ulong NextConnectionId() => ++nextConnection;

    /// <summary>Starts serving a connection whose filter chain is known.</summary>
    public void Serve(TcpSocket socket, Downstream downstream, FilterChain chain)
    {
        Connection connection = chain.Http is not { } http ? new TcpSession(this, socket, downstream, chain)
            : SpeaksHttp2(http.Codec, downstream) ? Http2Of(socket, downstream, http, chain)
            : new Http1Connection(http1, socket, downstream, http, chain) { AllowsHttp2 = http.Codec == HttpCodec.Auto && downstream.Tls is null or { Alpn: "" } };
        Connections.Add(connection);
        connection.Begin();
    }

    /// <summary>Where the client has chosen nothing, and either may be spoken, what it sends first decides.</summary>
    static bool SpeaksHttp2(HttpCodec codec, Downstream downstream) =>
        codec == HttpCodec.Http2 || (codec == HttpCodec.Auto && downstream.Tls is { Alpn: "h2" });

    Http2ServerConnection Http2Of(TcpSocket socket, Downstream downstream, HttpOptions http, object chain) =>
        new(http2, socket, downstream, http, http.Http2, http.Http2.AllowsConnect || http.Upgrades.Count > 0, chain);

    /// <summary>A client in the clear has begun with the preface of HTTP/2.</summary>
    void BecomeHttp2(Http1Connection before, byte[] read)
    {
        var connection = Http2Of(before.Socket, before.Downstream, (HttpOptions)before.Limits, before.ServedBy!);
        before.Leave();
        Connections.Add(connection);
        connection.Begin(read);
    }

    /// <summary>Descriptors are left for upstreams, and there is room for a handshake where there will be one; or room could be made.</summary>
    public bool MayAccept(string listener)
    {
        if (owner.FindListener(listener) is { IsStatus: false, Chains.LongestHandshake: > 0 } && !Handshakes.HasRoom && !Handshakes.CanMakeRoom)
        {
            return false;
        }

        if (Loop.Watched < MostForClients)
        {
            return true;
        }

        MakeRoom();
        return Loop.Watched < MostForClients;
    }

    /// <summary>So many descriptors may be open when one more client is taken.</summary>
    public long MostForClients { get; init; } = long.MaxValue;

    public void Accept(int fd, SocketAddressV4 peer, SocketAddressV4 local, string listenerName)
    {
        if (local.Address == 0)
        {
            local = Loop.Kernel.LocalAddress(fd);
        }

        var listener = owner.FindListener(listenerName);
        if (listener is null || (Connections.Count >= maximumConnections && !listener.IsStatus))
        {
            ShedConnections++;
            ListeningSocket.TurnAway(Loop, fd, listener?.Chains.Only?.Http is not null && listener.Chains.Only.Tls is null);
            return;
        }

        if (TcpSocket.Accepted(Loop, fd) is not { } socket)
        {
            ShedConnections++;
            return;
        }

        if (listener.Chains.Only is { Tls: null } chain && !listener.InspectsProxyProtocol)
        {
            Serve(socket, new Downstream(NextConnectionId(), peer, peer, local, "", null), chain);
            return;
        }

        var setup = new ConnectionSetup(this, socket, peer, local, listener);
        Connections.Add(setup);
        setup.Begin();
    }
}

/// <summary>Takes the connections of one address.</summary>
sealed class Acceptor(Worker worker, SocketAddressV4 address, string listener) : IAcceptor
{
    public string Listener { get; set; } = listener;

    public List<ListeningSocket> Sockets { get; } = [];

    public void OnAccepted(int fd, SocketAddressV4 peer) => worker.Accept(fd, peer, address, Listener);

    public bool MayAccept => worker.MayAccept(Listener);

    public void OnExhausted() => worker.MakeRoom();
}
