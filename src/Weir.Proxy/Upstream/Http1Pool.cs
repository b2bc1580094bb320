using Weir.Proxy.Http1;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>One endpoint's connections that speak HTTP/1.1, of which the idle ones are kept: the one used last is used first.</summary>
sealed class Http1Pool(UpstreamHost host)
{
    const int MaximumIdle = 1024;

    Http1ClientStream? idle;
    int idleCount;

    /// <summary>The idle connection used last, which leads to the others.</summary>
    public Http1ClientStream? FirstIdle => idle;

    /// <summary>An idle connection that is still good under the cluster as it is now, or null.</summary>
    public Http1ClientStream? TryTake(Cluster cluster)
    {
        while (idle is { } stream)
        {
            Unlink(stream);
            if (!stream.TryTake())
            {
                continue;
            }

            var made = ((Http1Link)stream.Link).Cluster;
            if (ReferenceEquals(made.Tls, cluster.Tls) || made.Tls == cluster.Tls)
            {
                return stream;
            }

            // It was made under other rules of trust.
            stream.Close();
        }

        return null;
    }

    /// <summary>A connection that has just been made.</summary>
    public Http1ClientStream Add(TcpSocket socket, Cluster cluster)
    {
        host.ChoseHttp2 = false;
        return new Http1ClientStream(host.Loop, socket, new Http1Link(this, cluster)) { IdleMilliseconds = cluster.IdleMilliseconds };
    }

    public bool TryKeep(Http1ClientStream stream, Cluster cluster)
    {
        if (host.IsRetired || idleCount >= MaximumIdle || cluster.ProxyProtocolVersion > 0
            || (cluster.MaximumRequestsPerConnection > 0 && stream.Requests >= cluster.MaximumRequestsPerConnection))
        {
            return false;
        }

        stream.NextIdle = idle;
        if (idle is not null)
        {
            idle.PreviousIdle = stream;
        }

        idle = stream;
        idleCount++;
        host.OnFreed();
        return true;
    }

    public void OnClosing(Http1ClientStream stream, Cluster cluster)
    {
        Unlink(stream);
        host.OnClosing(stream.Socket, cluster);
    }

    public void CloseIdle()
    {
        while (idle is { } stream)
        {
            stream.Close();
        }
    }

    /// <summary>Makes room for a connection to another endpoint.</summary>
    /// <returns>False when none is idle.</returns>
    public bool TryCloseOneIdle()
    {
        if (idle is not { } stream)
        {
            return false;
        }

        stream.Close();
        return true;
    }

    void Unlink(Http1ClientStream stream)
    {
        if (stream.PreviousIdle is not null)
        {
            stream.PreviousIdle.NextIdle = stream.NextIdle;
        }
        else if (ReferenceEquals(idle, stream))
        {
            idle = stream.NextIdle;
        }
        else
        {
            // It is in use.
            return;
        }

        if (stream.NextIdle is not null)
        {
            stream.NextIdle.PreviousIdle = stream.PreviousIdle;
        }

        stream.NextIdle = stream.PreviousIdle = null;
        idleCount--;
    }
}

/// <summary>Ties a connection to its pool and to the cluster as it was when the connection was made.</summary>
sealed class Http1Link(Http1Pool pool, Cluster cluster) : Http1ClientOwner
{
    public Cluster Cluster => cluster;

    public override bool TryKeep(Http1ClientStream stream) => pool.TryKeep(stream, cluster);

    public override void OnClosing(Http1ClientStream stream) => pool.OnClosing(stream, cluster);
}
