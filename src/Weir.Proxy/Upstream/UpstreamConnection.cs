using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>A connection to an upstream, kept between requests. Its buffer is held only while a response is being read.</summary>
sealed class UpstreamConnection(EventLoop loop, AsyncSocket socket, UpstreamHost host, Cluster cluster) : TimerEntry, IIdleObserver
{
    public AsyncSocket Socket => socket;
    public UpstreamHost Host => host;

    /// <summary>As it was when the connection was made: one whose security has changed since is not used again.</summary>
    public Cluster Cluster => cluster;
    public byte[]? Buffer;

    /// <summary>Of its host's idle ones, those used before and after it.</summary>
    public UpstreamConnection? NextIdle;
    public UpstreamConnection? PreviousIdle;
    bool isClosed;
    public int Start;
    public int End;

    /// <summary>Requests sent on it.</summary>
    public int Requests;

    /// <summary>It has answered before, so the peer may be closing it at this very moment.</summary>
    public bool IsReused => Requests > 1;

    /// <summary>Whether it can still carry a request, under the cluster as it is now.</summary>
    public bool Take(Cluster now)
    {
        TimerWheel.Clear(this);
        socket.IdleObserver = null;
        if (socket.IsStale || (!ReferenceEquals(now.Tls, cluster.Tls) && now.Tls != cluster.Tls))
        {
            Close();
            return false;
        }

        return true;
    }

    public bool MakeIdle()
    {
        ReleaseBuffer();
        if (socket.IsStale || (cluster.MaximumRequestsPerConnection > 0 && Requests >= cluster.MaximumRequestsPerConnection))
        {
            return false;
        }

        socket.IdleObserver = this;
        loop.Timers.Set(this, loop.Now + cluster.IdleMilliseconds);
        return true;
    }

    public void HoldBuffer()
    {
        if (Buffer is null)
        {
            Buffer = loop.Buffers.Rent();
            Start = End = 0;
        }
    }

    /// <summary>For much that is still to come. What is in the buffer must have been used up.</summary>
    public void HoldLargeBuffer()
    {
        if (Buffer is not { Length: BufferPool.LargeSize })
        {
            ReleaseBuffer();
            Buffer = loop.Buffers.RentLarge();
        }

        Start = End = 0;
    }

    public void Close()
    {
        ReleaseBuffer();
        loop.Timers.Remove(this);
        if (!isClosed)
        {
            isClosed = true;
            KeepSession();
            socket.Close();
            host.OnClosed(this);
        }
    }

    /// <summary>What the server gave us to resume with is kept for the next connection.</summary>
    public void KeepSession()
    {
        if (socket.Layer is TlsLayer layer && cluster.Tls is { ResumesSessions: true } && layer.TakeSession() is not 0 and var session)
        {
            host.KeepSession(session, cluster.Tls.Context);
        }
    }

    public override void OnDue() => Close();

    public void OnIdleEvent() => Close();

    public void ReleaseBuffer()
    {
        if (Buffer is { } buffer)
        {
            Buffer = null;
            loop.Buffers.Return(buffer);
        }
    }
}
