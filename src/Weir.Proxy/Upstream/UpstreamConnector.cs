using Weir.Proxy.Inspection;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>Opens connections to endpoints: TCP, then the PROXY protocol and TLS where the cluster asks for them.</summary>
sealed class UpstreamConnector(EventLoop loop, HandshakeQueue handshakes)
{
    /// <summary>Why the last handshake failed, for the log.</summary>
    public string TransportFailure { get; private set; } = "";

    /// <summary>A connection that is ready for use, or why there is none.</summary>
    public async ValueTask<(UpstreamConnection? Connection, Cause Cause)> ConnectAsync(UpstreamHost host, Cluster cluster, Downstream downstream)
    {
        if (host.Create(cluster) is not { } connection)
        {
            return (null, Cause.NoDescriptor);
        }

        var deadline = loop.Now + cluster.ConnectTimeoutMilliseconds;
        var connected = await connection.Socket.ConnectAsync(host.Address, cluster.ConnectTimeoutMilliseconds);
        if (connected < 0)
        {
            connection.Close();
            return (null, connected == -Native.EtimedOut ? Cause.ConnectTimeout : Cause.ConnectionRefused);
        }

        if (cluster.ProxyProtocolVersion > 0 && await SayWhoAsync(connection.Socket, cluster, downstream) < 0)
        {
            connection.Close();
            return (null, Cause.ConnectionRefused);
        }

        if (cluster.Tls is { } tls)
        {
            var layer = TlsLayer.Connect(tls.Context, connection.Socket, tls.ServerName, tls.ResumesSessions ? host.SessionFor(tls.Context) : 0);
            connection.Socket.Attach(layer);
            var left = (int)Math.Max(deadline - loop.Now, 1);
            var result = await handshakes.RunAsync(connection.Socket, layer, left);
            if (result < 0 || (tls.Validation is not null && !layer.Accepts(tls.Validation)))
            {
                TransportFailure = layer.FailureReason;
                connection.Close();
                return (null, result == -Native.EtimedOut ? Cause.ConnectTimeout : Cause.TlsFailed);
            }
        }

        return (connection, Cause.None);
    }

    static async ValueTask<int> SayWhoAsync(AsyncSocket socket, Cluster cluster, Downstream downstream)
    {
        var header = new byte[64];
        var length = ProxyProtocolHeader.Write(header, cluster.ProxyProtocolVersion, downstream.Peer, downstream.Local);
        return await socket.WriteAsync(header.AsMemory(0, length), cluster.ConnectTimeoutMilliseconds);
    }
}
