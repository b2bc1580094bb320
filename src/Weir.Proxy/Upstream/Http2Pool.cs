using Weir.Proxy.Http;
using Weir.Proxy.Http2;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>
/// One endpoint's connections that speak HTTP/2: few, each with the streams of many requests. Another is opened when those there are
/// have few streams left, ahead of need.
/// </summary>
sealed class Http2Pool(UpstreamHost owner)
{
    readonly UpstreamHost host = owner;
    readonly List<(Http2ClientConnection Connection, Cluster Cluster)> connections = [];
    Making? making;
    bool isServing;
    bool isAvailable;

    /// <summary>Attempts that wait for a stream.</summary>
    public PendingQueue Waiting { get; } = new();

    /// <summary>There will be streams to wait for: a connection is being made, or its endpoint has not allowed any yet.</summary>
    public bool IsConnecting => making is not null || connections.Exists(static c => c.Connection.IsPromising);

    /// <summary>A stream of the connection that has the most to do and can still take one, so that few are in use; null for none.</summary>
    public ClientStream? TryOpen(Cluster cluster)
    {
        Http2ClientConnection? best = null;
        var free = 0;
        foreach (var (connection, made) in connections)
        {
            if (!connection.CanOpen || !(ReferenceEquals(made.Tls, cluster.Tls) || made.Tls == cluster.Tls))
            {
                continue;
            }

            free += connection.Slots - connection.StreamCount;
            best = best is null || connection.StreamCount > best.StreamCount ? connection : best;
        }

        if (best is not null && free <= best.Slots / 8)
        {
            ConnectIfAllowed(cluster);
        }

        return best?.Open();
    }

    void ConnectIfAllowed(Cluster cluster)
    {
        if (making is null && handshakes is not null && !host.IsRetired && host.Load.Connections < cluster.Limits.MaximumConnections)
        {
            Connect(handshakes, cluster, null);
        }
    }

    HandshakeQueue? handshakes;

    /// <summary>Opens a connection; those who wait are given its streams.</summary>
    public void Connect(HandshakeQueue queue, Cluster cluster, Downstream? downstream)
    {
        handshakes = queue;
        making = new Making(this, cluster);
        making.Begin(queue, downstream);
    }

    /// <summary>A connection that turned out to speak HTTP/2.</summary>
    public void Add(TcpSocket socket, Cluster cluster)
    {
        var link = new Link(this, cluster);
        var connection = new Http2ClientConnection(host.Loop, socket, link, cluster.Http.Http2, cluster.IdleMilliseconds, cluster.ConnectTimeoutMilliseconds,
            cluster.MaximumRequestsPerConnection);
        connections.Add((connection, cluster));
    }

    void OnConnected(TcpSocket socket, Cluster cluster, string alpn)
    {
        making = null;
        if (cluster.Http.Protocol == UpstreamProtocol.Alpn && alpn != "h2")
        {
            // It was thought to choose HTTP/2, and has not: those who wait begin anew, the first with this connection.
            host.ChoseHttp2 = false;
            host.Http1.Add(socket, cluster).Keep();
            WakeAll();
            return;
        }

        Add(socket, cluster);
    }

    /// <summary>Those who wait now are told; they may come back at once, and are then among those who wait for the next.</summary>
    void OnFailed(Cause cause, string detail)
    {
        making = null;
        for (var left = Waiting.Count; left > 0 && Waiting.First is Attempt attempt; left--)
        {
            PendingQueue.Remove(attempt);
            attempt.OnConnectFailed(cause, detail);
        }
    }

    void WakeAll()
    {
        for (var left = Waiting.Count; left > 0 && Waiting.First is Attempt attempt; left--)
        {
            PendingQueue.Remove(attempt);
            attempt.Retry();
        }
    }

    /// <summary>Streams have become free.</summary>
    void OnAvailable(Http2ClientConnection connection, Cluster cluster)
    {
        isAvailable = true;
        if (isServing)
        {
            return;
        }

        Serve();
        if (connection.CanOpen)
        {
            host.OnFreed();
        }
        else if (Waiting.Count > 0 && !IsConnecting)
        {
            ConnectIfAllowed(cluster);
        }
    }

    /// <summary>
    /// Gives streams to those who wait. Whoever is given one may end it at once, which frees it again: that is left to the call under
    /// way, so that a long queue does not become a deep stack.
    /// </summary>
    void Serve()
    {
        isServing = true;
        try
        {
            while (isAvailable)
            {
                isAvailable = false;
                for (var i = 0; i < connections.Count; i++)
                {
                    var (connection, _) = connections[i];
                    while (connection.CanOpen && Waiting.First is Attempt attempt)
                    {
                        PendingQueue.Remove(attempt);
                        attempt.OnStreamOpened(connection.Open());
                    }
                }
            }
        }
        finally
        {
            isServing = false;
        }
    }

    /// <summary>When no connection is left, those who wait begin anew, as often as their requests may be tried.</summary>
    void OnUnavailable()
    {
        if (making is null && !connections.Exists(c => c.Connection.IsUsable))
        {
            OnFailed(Cause.ConnectionRefused, "");
        }
    }

    void OnClosing(Http2ClientConnection connection, Cluster cluster)
    {
        connections.RemoveAll(c => ReferenceEquals(c.Connection, connection));
        host.OnClosing(connection.Socket, cluster);
    }

    public void Retire()
    {
        foreach (var (connection, _) in connections.ToArray())
        {
            connection.Retire();
        }
    }

    /// <summary>A connection in the making, for whoever waits by then.</summary>
    sealed class Making(Http2Pool pool, Cluster cluster) : IConnectingOwner
    {
        public void Begin(HandshakeQueue queue, Downstream? downstream) => new Connecting(queue, pool.host, cluster, downstream, this).Begin();

        public void OnConnected(TcpSocket socket, string alpn) => pool.OnConnected(socket, cluster, alpn);

        public void OnConnectFailed(Cause cause, string detail) => pool.OnFailed(cause, detail);
    }

    /// <summary>Ties a connection to the pool and to the cluster as it was when the connection was made.</summary>
    sealed class Link(Http2Pool pool, Cluster cluster) : Http2ClientOwner
    {
        public override void OnAvailable(Http2ClientConnection connection) => pool.OnAvailable(connection, cluster);

        public override void OnUnavailable(Http2ClientConnection connection) => pool.OnUnavailable();

        public override void OnClosing(Http2ClientConnection connection) => pool.OnClosing(connection, cluster);
    }
}
