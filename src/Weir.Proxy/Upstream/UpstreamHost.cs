using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>One endpoint of one cluster as one loop sees it: its idle connections, and how much it has to do.</summary>
sealed class UpstreamHost(EventLoop loop, SocketAddressV4 address, ClusterLoad load)
{
    const int MaximumIdle = 1024;

    /// <summary>The one used last, linked with those before it.</summary>
    UpstreamConnection? idle;
    int idleCount;
    nint session;
    TlsContext? sessionContext;

    public SocketAddressV4 Address => address;
    public ClusterLoad Load => load;
    public int ActiveRequests { get; set; }
    public PeakEwma Latency;

    /// <summary>
    /// To resume TLS with; 0 for none. A session that was agreed on under another context is not used: resuming skips the check of
    /// the server's chain, and whom we trust may have changed since.
    /// </summary>
    public nint SessionFor(TlsContext context) => ReferenceEquals(context, sessionContext) ? session : 0;

    /// <summary>An idle connection that is still good, or null.</summary>
    public UpstreamConnection? TakeIdle(Cluster cluster)
    {
        while (idle is { } connection)
        {
            Unlink(connection);
            if (connection.Take(cluster))
            {
                return connection;
            }
        }

        return null;
    }

    public bool HasIdle => idle is not null;

    /// <summary>A new connection, not yet connected; null when the machine has no descriptor left.</summary>
    public UpstreamConnection? Create(Cluster cluster)
    {
        if (AsyncSocket.Create(loop) is not { } socket)
        {
            return null;
        }

        load.Connections++;
        return new UpstreamConnection(loop, socket, this, cluster);
    }

    public void Return(UpstreamConnection connection)
    {
        if (idleCount >= MaximumIdle || !connection.MakeIdle())
        {
            connection.Close();
            return;
        }

        connection.NextIdle = idle;
        if (idle is not null)
        {
            idle.PreviousIdle = connection;
        }

        idle = connection;
        idleCount++;
        WakeNext();
    }

    void Unlink(UpstreamConnection connection)
    {
        if (connection.PreviousIdle is not null)
        {
            connection.PreviousIdle.NextIdle = connection.NextIdle;
        }
        else if (ReferenceEquals(idle, connection))
        {
            idle = connection.NextIdle;
        }
        else
        {
            // It is in use.
            return;
        }

        if (connection.NextIdle is not null)
        {
            connection.NextIdle.PreviousIdle = connection.PreviousIdle;
        }

        connection.NextIdle = connection.PreviousIdle = null;
        idleCount--;
    }

    public void OnClosed(UpstreamConnection connection)
    {
        Unlink(connection);
        load.Connections--;
        WakeNext();
    }

    /// <summary>Closes what is idle: the endpoint is no longer part of the mesh.</summary>
    public void Retire()
    {
        while (idle is { } connection)
        {
            connection.Close();
        }

        KeepSession(0, null);
    }

    public void KeepSession(nint next, TlsContext? context)
    {
        sessionContext = context;
        if (session != 0)
        {
            OpenSsl.SessionFree(session);
        }

        session = next;
    }

    void WakeNext() => load.Waiting.First?.Value.Wake();
}
