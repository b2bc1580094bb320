using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>One endpoint of one cluster as one loop sees it: its connections, and how much it has to do.</summary>
sealed class UpstreamHost : EndpointLoad
{
    readonly KeptSession session = new();
    readonly List<Http2Pool> http2 = [];

    public UpstreamHost(HandshakeQueue handshakes, SocketAddressV4 address, ClusterLoad load)
    {
        Handshakes = handshakes;
        Address = address;
        Load = load;
        Http1 = new Http1Pool(this);
    }

    public HandshakeQueue Handshakes { get; }

    public EventLoop Loop => Handshakes.Loop;

    public SocketAddressV4 Address { get; }

    public ClusterLoad Load { get; }

    public Http1Pool Http1 { get; }

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

    /// <summary>The connections that speak HTTP/2 and were made under the rules of trust that the cluster has; those of older rules come to their end.</summary>
    public Http2Pool Http2(Cluster cluster)
    {
        foreach (var pool in http2)
        {
            if (pool.IsFor(cluster))
            {
                if (pool.IsRetired && !IsRetired)
                {
                    // What had been changed was changed back.
                    RetireAllBut(pool);
                }

                return pool;
            }
        }

        http2.RemoveAll(static p => p.IsEmpty);
        RetireAllBut(null);
        var added = new Http2Pool(this, cluster.Tls);
        if (IsRetired)
        {
            added.Retire(true);
        }

        http2.Add(added);
        return added;
    }

    void RetireAllBut(Http2Pool? kept)
    {
        foreach (var pool in http2)
        {
            pool.Retire(!ReferenceEquals(pool, kept));
        }
    }

    /// <summary>To resume TLS with.</summary>
    public nint SessionFor(TlsClient tls) => tls.ResumesSessions ? session.For(tls.Context) : 0;

    public bool IsRetired { get; private set; }

    public override void Dispose()
    {
        IsRetired = true;
        Http1.CloseIdle();
        RetireAllBut(null);
        session.Retire();
    }

    /// <summary>Makes room for a connection that is needed more than an idle one.</summary>
    /// <returns>False when none is idle.</returns>
    public bool TryCloseOneIdle() => Http1.TryCloseOneIdle() || http2.Exists(static p => p.TryCloseOneIdle());

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
