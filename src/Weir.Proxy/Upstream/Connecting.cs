using Weir.Proxy.Http;
using Weir.Proxy.Inspection;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>Whoever wants a connection.</summary>
interface IConnectingOwner
{
    /// <param name="alpn">The protocol chosen in the handshake; empty for none.</param>
    void OnConnected(TcpSocket socket, string alpn);

    /// <param name="detail">Why a handshake failed; empty otherwise.</param>
    void OnConnectFailed(Cause cause, string detail);
}

/// <summary>
/// A connection in the making: TCP, then the PROXY protocol and TLS where the cluster asks for them. Has one deadline for all of it, and
/// can be given up at any moment.
/// </summary>
sealed class Connecting(HandshakeQueue handshakes, UpstreamHost host, Cluster cluster, Downstream? downstream, IConnectingOwner owner) : LoopHandler
{
    TcpSocket? socket;
    Handshake? handshake;
    byte[] greeting = [];
    int greeted;
    bool isConnected;

    public void Begin()
    {
        host.Load.Connections++;
        if (cluster.ConnectTimeoutMilliseconds > 0)
        {
            host.Loop.Timers.Set(this, host.Loop.Now + cluster.ConnectTimeoutMilliseconds);
        }

        socket = TcpSocket.Connect(host.Loop, host.Address, this);
        if (socket is null)
        {
            host.Loop.Defer(this);
        }
    }

    public override void OnReady()
    {
        if (isOver)
        {
            return;
        }

        if (socket is null)
        {
            Fail(Cause.NoDescriptor);
        }
        else if (handshake is not null)
        {
            OnHandshake();
        }
        else if (socket.ConnectResult < 0)
        {
            if (socket.ConnectResult != -Native.Einprogress)
            {
                Fail(Cause.ConnectionRefused);
            }
        }
        else
        {
            OnConnected();
        }
    }

    void OnConnected()
    {
        if (!isConnected)
        {
            isConnected = true;
            greeting = Greeting();
        }

        var sent = socket!.Send(greeting.AsSpan(greeted));
        if (sent < 0)
        {
            Fail(Cause.ConnectionRefused);
            return;
        }

        greeted += sent;
        if (greeted < greeting.Length)
        {
            return;
        }

        if (cluster.Tls is not { } tls)
        {
            Succeed("");
            return;
        }

        var layer = TlsLayer.Connect(tls.Context, socket, tls.ServerName, host.SessionFor(tls));
        handshake = new Handshake(handshakes, socket, this);
        handshake.TryEnter(host.Address.Address, int.MaxValue);
        handshake.Begin(layer, isFirst: true);
    }

    byte[] Greeting()
    {
        if (cluster.ProxyProtocolVersion == 0 || downstream is null)
        {
            return [];
        }

        var header = new byte[64];
        return header[..ProxyProtocolHeader.Write(header, cluster.ProxyProtocolVersion, downstream.Peer, downstream.Local)];
    }

    void OnHandshake()
    {
        var layer = handshake!.Layer!;
        if (handshake.Result == -Native.Einprogress)
        {
            return;
        }

        if (handshake.Result < 0 || (cluster.Tls!.Validation is { } validation && !layer.Accepts(validation)))
        {
            Fail(Cause.TlsFailed, layer.FailureReason);
            return;
        }

        Succeed(layer.Info().Alpn);
    }

    bool isOver;

    public override void OnDue() => Fail(Cause.ConnectTimeout);

    void Succeed(string alpn)
    {
        isOver = true;
        host.Loop.Timers.Remove(this);
        var connected = socket!;
        connected.Handler = null;
        owner.OnConnected(connected, alpn);
    }

    void Fail(Cause cause, string detail = "")
    {
        if (!isOver)
        {
            Cancel();
            owner.OnConnectFailed(cause, detail);
        }
    }

    /// <summary>Gives it up; the owner is not told.</summary>
    public void Cancel()
    {
        if (isOver)
        {
            return;
        }

        isOver = true;
        host.Loop.Timers.Remove(this);
        handshake?.Cancel();
        socket?.Close();
        host.Load.Connections--;
        host.OnFreed();
    }

    public override void Abandon() => Fail(Cause.NoDescriptor);
}
