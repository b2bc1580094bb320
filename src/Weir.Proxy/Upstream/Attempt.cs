using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>
/// One try to reach an endpoint: chosen, waited for, connected to, spoken to. Reused from try to try and from request to request. It can
/// be given up in any of its states by <see cref="Release"/>, and calls its owner's <see cref="LoopHandler.OnReady"/> when it has come
/// further by itself.
/// </summary>
sealed class Attempt(Upstreams upstreams, LoopHandler owner) : Pending, IConnectingOwner
{
    readonly EventLoop loop = upstreams.Loop;
    AttemptTarget target;
    UpstreamHost? host;
    Connecting? connecting;

    public AttemptState State { get; private set; }

    public Endpoint? Endpoint { get; private set; }

    public ClientStream? Stream { get; private set; }

    public Cause Failure { get; private set; }

    /// <summary>Why a handshake failed, for the log.</summary>
    public string TransportFailure { get; private set; } = "";

    public UpstreamHost? Host => host;

    /// <param name="avoid">The endpoint that has just failed.</param>
    /// <param name="isFresh">No kept connection is trusted.</param>
    /// <param name="waitMilliseconds">For a connection to become free.</param>
    public void Start(in AttemptTarget wanted, Endpoint? avoid, bool isFresh, int waitMilliseconds)
    {
        target = wanted;
        Failure = Cause.None;
        TransportFailure = "";
        var cluster = target.Cluster;
        var load = cluster.Loads[loop.Index];
        if (!target.IsRaw && load.Requests >= cluster.Limits.MaximumRequests)
        {
            Fail(Cause.PendingOverflow);
            return;
        }

        Endpoint = upstreams.Balancer.Pick(cluster, cluster.Select(target.Subset), target.Hash, avoid);
        if (Endpoint is null)
        {
            Fail(Cause.NoHealthyEndpoint);
            return;
        }

        var chosen = upstreams.HostOf(Endpoint, cluster);

        // The endpoint that has just failed has no kept connection that could be trusted.
        if (!target.IsRaw && !isFresh && !ReferenceEquals(Endpoint, avoid) && KeptConnections.TryTake(target, chosen) is { } kept)
        {
            Become(kept, chosen);
        }
        else
        {
            Connect(chosen, waitMilliseconds);
        }
    }

    void Connect(UpstreamHost chosen, int waitMilliseconds)
    {
        var cluster = target.Cluster;
        var load = chosen.Load;
        if (chosen.IsHttp2(target) == true && chosen.Http2(cluster).IsConnecting)
        {
            // One of its streams will do.
            Count(chosen);
            State = AttemptState.Connecting;
            chosen.Http2(cluster).Waiting.Add(this);
            return;
        }

        if (load.Connections >= cluster.Limits.MaximumConnections && !MakeRoom())
        {
            if (State == AttemptState.Ready)
            {
                return;
            }

            if (target.IsRaw || load.Waiting.Count >= cluster.Limits.MaximumPending)
            {
                Fail(Cause.PendingOverflow);
                return;
            }

            State = AttemptState.Waiting;
            if (wasFirst)
            {
                load.Waiting.AddFirst(this);
            }
            else
            {
                load.Waiting.Add(this);
            }

            if (waitMilliseconds > 0)
            {
                loop.Timers.Set(this, loop.Now + waitMilliseconds);
            }

            return;
        }

        Count(chosen);
        State = AttemptState.Connecting;
        if (chosen.IsHttp2(target) == true)
        {
            chosen.Http2(cluster).Waiting.Add(this);
            chosen.Http2(cluster).Connect(cluster);
            return;
        }

        connecting = new Connecting(upstreams.Handshakes, chosen, cluster, target.Downstream, this);
        connecting.Begin();
    }

    /// <summary>With no more connections allowed.</summary>
    /// <returns>Whether one may be opened now; the state is <see cref="AttemptState.Ready"/> when an idle one was taken.</returns>
    bool MakeRoom()
    {
        if (KeptConnections.TryTakeAny(target, loop.Index, out var at, out var from) is { } stream)
        {
            Endpoint = at;
            Become(stream, from!);
            return false;
        }

        return KeptConnections.TryMakeRoom(target.Cluster, loop.Index);
    }

    void Become(ClientStream stream, UpstreamHost from)
    {
        Count(from);
        OnStream(stream);
    }

    /// <summary>A stream of a connection that others wait for as well.</summary>
    public void OnStreamOpened(ClientStream stream)
    {
        OnStream(stream);
        owner.OnReady();
    }

    /// <summary>The connection that it waited for is of no use to it: begins anew at the same endpoint.</summary>
    public void Retry()
    {
        var at = host!;
        Uncount();
        State = AttemptState.None;
        if (KeptConnections.TryTake(target, at) is { } kept)
        {
            Become(kept, at);
        }
        else
        {
            Connect(at, 0);
        }

        owner.OnReady();
    }

    void OnStream(ClientStream stream)
    {
        Stream = stream;
        stream.Owner = owner;
        State = AttemptState.Ready;
    }

    void Count(UpstreamHost chosen)
    {
        host = chosen;
        host.ActiveRequests++;
        host.Load.Requests++;
    }

    void Fail(Cause cause)
    {
        Failure = cause;
        State = AttemptState.Failed;
    }

    /// <summary>A connection may have become free.</summary>
    public override void OnReady()
    {
        if (State != AttemptState.Waiting)
        {
            return;
        }

        var load = target.Cluster.Loads[loop.Index];
        PendingQueue.Remove(this);
        State = AttemptState.None;
        wasFirst = true;
        Connect(upstreams.HostOf(Endpoint!, target.Cluster), Deadline == long.MaxValue ? 0 : (int)Math.Max(1, Deadline - loop.Now));
        wasFirst = false;
        if (State == AttemptState.Waiting)
        {
            return;
        }

        TimerWheel.Clear(this);
        if (load.Waiting.First is { } next && load.Connections < target.Cluster.Limits.MaximumConnections)
        {
            loop.Defer(next);
        }

        owner.OnReady();
    }

    bool wasFirst;

    /// <summary>Goes without what it was woken for: the next is woken in its place.</summary>
    void LeaveQueue()
    {
        var queue = IsDeferred ? Queue : null;
        PendingQueue.Remove(this);
        if (queue?.First is { } next)
        {
            loop.Defer(next);
        }
    }

    /// <summary>It has waited for too long.</summary>
    public override void OnDue()
    {
        if (State == AttemptState.Waiting)
        {
            LeaveQueue();
            Fail(Cause.PoolTimeout);
            owner.OnReady();
        }
    }

    void IConnectingOwner.OnConnected(TcpSocket socket, string alpn)
    {
        connecting = null;
        var (at, cluster) = (host!, target.Cluster);
        if (target.IsRaw)
        {
            OnStream(new RawStream(loop, socket, closing => at.OnClosing(closing, cluster)));
        }
        else if (alpn == "h2")
        {
            // Its streams can be opened when the endpoint has said what it allows.
            at.ChoseHttp2 = true;
            at.Http2(cluster).Waiting.Add(this);
            at.Http2(cluster).Add(socket, cluster);
            return;
        }
        else
        {
            at.ChoseHttp2 = false;
            OnStream(at.Http1.Add(socket, cluster));
        }

        owner.OnReady();
    }

    void IConnectingOwner.OnConnectFailed(Cause cause, string detail) => OnConnectFailed(cause, detail);

    public void OnConnectFailed(Cause cause, string detail)
    {
        connecting = null;
        Uncount();
        TransportFailure = detail;
        Fail(cause);
        owner.OnReady();
    }

    void Uncount()
    {
        if (host is { } counted)
        {
            host = null;
            counted.ActiveRequests--;
            counted.Load.Requests--;
        }
    }

    /// <summary>Over, or given up, in whatever state it is.</summary>
    public void Release()
    {
        TimerWheel.Clear(this);
        LeaveQueue();
        State = AttemptState.None;
        if (connecting is { } making)
        {
            connecting = null;
            making.Cancel();
        }

        Uncount();
        if (Stream is { } stream)
        {
            Stream = null;
            stream.Release();
        }
    }

    public override void Abandon() => owner.Abandon();
}
