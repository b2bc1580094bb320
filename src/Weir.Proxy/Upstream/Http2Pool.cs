using Weir.Proxy.Http;
using Weir.Proxy.Http2;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>
/// One endpoint's connections that speak HTTP/2, all made under the same rules of trust: few, each with the streams of many requests.
/// Another is opened when those there are have few streams left, ahead of need.
/// </summary>
sealed class Http2Pool(UpstreamHost owner, TlsClient? rules)
{
    readonly UpstreamHost host = owner;
    readonly List<Http2ClientConnection> connections = [];
    Making? making;
    bool isServing;
    bool isAvailable;

    /// <summary>Its connections end when those who use them and those who wait have been served.</summary>
    public bool IsRetired { get; private set; }

    /// <summary>Attempts that wait for a stream.</summary>
    public PendingQueue Waiting { get; } = new(owner.Load);

    /// <summary>There will be streams to wait for: a connection is being made, or its endpoint has not allowed any yet.</summary>
    public bool IsConnecting => making is not null || connections.Exists(static c => c.IsPromising);

    public bool IsEmpty => making is null && connections.Count == 0 && Waiting.Count == 0;

    public bool IsFor(Cluster cluster) => ReferenceEquals(rules, cluster.Tls) || rules == cluster.Tls;

    /// <summary>A stream of the connection that has the most to do and can still take one, so that few are in use; null for none.</summary>
    public ClientStream? TryOpen(Cluster cluster)
    {
        Http2ClientConnection? best = null;
        var free = 0;
        foreach (var connection in connections)
        {
            if (connection.CanOpen)
            {
                free += connection.Slots - connection.StreamCount;
                best = best is null || connection.StreamCount > best.StreamCount ? connection : best;
            }
        }

        if (best is not null && free <= best.Slots / 8)
        {
            TryConnect(cluster);
        }

        return best?.Open();
    }

    /// <returns>False when one is being made already, or no more are allowed.</returns>
    bool TryConnect(Cluster cluster)
    {
        if (making is not null || host.IsRetired || host.Load.Connections >= cluster.Limits.MaximumConnections)
        {
            return false;
        }

        Connect(cluster);
        return true;
    }

    /// <summary>Opens a connection; those who wait are given its streams.</summary>
    public void Connect(Cluster cluster)
    {
        making = new Making(this, cluster);
        making.Begin();
    }

    /// <summary>A connection that turned out to speak HTTP/2.</summary>
    public void Add(TcpSocket socket, Cluster cluster)
    {
        host.ChoseHttp2 = true;
        connections.Add(new Http2ClientConnection(
            host.Loop, socket, new Link(this, cluster), cluster.Http.Http2, cluster.IdleMilliseconds, cluster.ConnectTimeoutMilliseconds,
            cluster.MaximumRequestsPerConnection));
    }

    void OnConnected(TcpSocket socket, Cluster cluster, string alpn)
    {
        making = null;
        if (cluster.Http.Protocol == UpstreamProtocol.Alpn && alpn != "h2")
        {
            // It was thought to choose HTTP/2, and has not: those who wait begin anew, the first with this connection.
            host.Http1.Add(socket, cluster).Keep();
            WakeAll();
            return;
        }

        Add(socket, cluster);
    }

    /// <summary>No connection could be made. Where there are others, those who wait have their streams to hope for.</summary>
    void OnFailed(Cause cause, string detail)
    {
        making = null;
        if (!connections.Exists(static c => c.IsUsable))
        {
            FailAll(cause, detail);
        }
    }

    void FailAll(Cause cause, string detail) => TellAll(a => a.OnConnectFailed(cause, detail));

    void WakeAll() => TellAll(static a => a.Retry());

    /// <summary>Those who wait now; they may come back at once, and are then among those who wait for the next.</summary>
    void TellAll(Action<Attempt> tell)
    {
        for (var left = Waiting.Count; left > 0 && Waiting.First is PendingAttempt pending; left--)
        {
            PendingQueue.Remove(pending);
            tell(pending.Attempt);
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
        if (IsRetired && Waiting.Count == 0)
        {
            connection.Retire();
        }
        else if (connection.CanOpen)
        {
            host.OnFreed();
        }

        if (Waiting.Count > 0 && !connection.CanOpen && !IsConnecting)
        {
            TryConnect(cluster);
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
                    var connection = connections[i];
                    while (connection.CanOpen && Waiting.First is PendingAttempt pending)
                    {
                        PendingQueue.Remove(pending);
                        pending.Attempt.OnStreamOpened(connection.Open());
                    }
                }
            }
        }
        finally
        {
            isServing = false;
        }
    }

    /// <summary>
    /// When no connection is left, those who wait need another. Where the last has not served anybody that is a failure of theirs, so
    /// that an endpoint which closes every connection is not asked for ever.
    /// </summary>
    void OnUnavailable(Http2ClientConnection connection, Cluster cluster)
    {
        if (Waiting.Count == 0 || making is not null || connections.Exists(static c => c.IsUsable))
        {
            return;
        }

        if (host.IsRetired || !connection.HasServed)
        {
            FailAll(Cause.ConnectionRefused, "");
        }
        else if (!TryConnect(cluster))
        {
            WakeAll();
        }
    }

    void OnClosing(Http2ClientConnection connection, Cluster cluster)
    {
        connections.Remove(connection);
        host.OnClosing(connection.Socket, cluster);
    }

    /// <param name="isRetired">False to use it again.</param>
    public void Retire(bool isRetired)
    {
        IsRetired = isRetired;
        foreach (var connection in !isRetired || (Waiting.Count > 0 && !host.IsRetired) ? [] : connections.ToArray())
        {
            connection.Retire();
        }
    }

    /// <returns>False when none is idle.</returns>
    public bool TryCloseOneIdle()
    {
        if (Waiting.Count > 0 || connections.Find(static c => c.StreamCount == 0 && c.HasServed) is not { } idle)
        {
            return false;
        }

        idle.Close();
        return true;
    }

    /// <summary>A connection in the making, for whoever waits by then.</summary>
    sealed class Making(Http2Pool pool, Cluster cluster) : IConnectingOwner
    {
        public void Begin() => new Connecting(pool.host.Handshakes, pool.host, cluster, null, this).Begin();

        public void OnConnected(TcpSocket socket, string alpn) => pool.OnConnected(socket, cluster, alpn);

        public void OnConnectFailed(Cause cause, string detail) => pool.OnFailed(cause, detail);
    }

    /// <summary>Ties a connection to the pool and to the cluster as it was when the connection was made.</summary>
    sealed class Link(Http2Pool pool, Cluster cluster) : Http2ClientOwner
    {
        public override void OnAvailable(Http2ClientConnection connection) => pool.OnAvailable(connection, cluster);

        public override void OnUnavailable(Http2ClientConnection connection) => pool.OnUnavailable(connection, cluster);

        public override void OnFlood(Http2ClientConnection connection) =>
            pool.host.Loop.OnWarning($"a connection of HTTP/2 to {pool.host.Address} of cluster {cluster.Name} is closed, because the endpoint floods it");

        public override void OnClosing(Http2ClientConnection connection) => pool.OnClosing(connection, cluster);
    }
}
