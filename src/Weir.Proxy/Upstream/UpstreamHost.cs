using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>One endpoint of one cluster as one loop sees it: its connections, and how much it has to do.</summary>
sealed class UpstreamHost : EndpointLoad
{
    readonly KeptSession session = new();

    public UpstreamHost(EventLoop loop, SocketAddressV4 address, ClusterLoad load)
    {
        Loop = loop;
        Address = address;
        Load = load;
        Http1 = new Http1Pool(this);
        Http2 = new Http2Pool(this);
    }

    public EventLoop Loop { get; }

    public SocketAddressV4 Address { get; }

    public ClusterLoad Load { get; }

    public Http1Pool Http1 { get; }

    public Http2Pool Http2 { get; }

    /// <summary>What the endpoint last chose where it may choose.</summary>
    public bool? ChoseHttp2 { get; set; }

    /// <summary>Whether requests go out as HTTP/2; null while only a handshake can tell.</summary>
    public bool? IsHttp2(in AttemptTarget target) => target.IsRaw ? false : target.Cluster.Http.Protocol switch
    {
        UpstreamProtocol.Http1 => false,
        UpstreamProtocol.Http2 => true,
        UpstreamProtocol.Downstream => target.IsHttp2,
        _ => ChoseHttp2,
    };

    /// <summary>To resume TLS with.</summary>
    public nint SessionFor(TlsClient tls) => tls.ResumesSessions ? session.For(tls.Context) : 0;

    public bool IsRetired { get; private set; }

    public override void Dispose()
    {
        IsRetired = true;
        Http1.CloseIdle();
        Http2.Retire();
        session.Retire();
    }

    /// <summary>A connection is gone, or has become free: somebody who waits may go on.</summary>
    public void OnFreed()
    {
        if (Load.Waiting.First is { } waiting)
        {
            Loop.Defer(waiting);
        }
    }

    /// <summary>The socket of a connection is about to be closed.</summary>
    public void OnClosing(TcpSocket socket, Cluster cluster)
    {
        if (socket.Layer is TlsLayer layer && cluster.Tls is { ResumesSessions: true } tls && layer.TakeSession() is not 0 and var next)
        {
            session.Keep(next, tls.Context);
        }

        Load.Connections--;
        OnFreed();
    }
}
