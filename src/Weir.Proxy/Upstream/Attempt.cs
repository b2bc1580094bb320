using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>
/// One try to reach an endpoint: chosen, waited for, connected to, spoken to. Reused from try to try and from request to request. It can
/// be given up in any of its states by <see cref="Release"/>, and calls its owner's <see cref="LoopHandler.OnReady"/> when it has come
/// further by itself.
/// </summary>
sealed class Attempt : IConnectingOwner
{
    readonly Upstreams upstreams;
    readonly EventLoop loop;
    readonly LoopHandler owner;
    readonly PendingAttempt pending;
    AttemptTarget target;
    RequestSlot slot;
    Connecting? connecting;

    public Attempt(Upstreams upstreams, LoopHandler owner)
    {
        (this.upstreams, this.owner, loop) = (upstreams, owner, upstreams.Loop);
        pending = new PendingAttempt(loop, this);
    }

    public AttemptState State { get; private set; }

    public Endpoint? Endpoint { get; private set; }

    public ClientStream? Stream { get; private set; }

    public Cause Failure { get; private set; }

    /// <summary>Why a handshake failed, for the log.</summary>
    public string TransportFailure { get; private set; } = "";

    public UpstreamHost? Host => slot.Host;

    /// <param name="avoid">The endpoint that has just failed.</param>
    /// <param name="isFresh">No kept connection is trusted.</param>
    public void Start(in AttemptTarget wanted, Endpoint? avoid, bool isFresh)
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
        Reach(chosen, mayUseKept: !target.IsRaw && !isFresh && !ReferenceEquals(Endpoint, avoid));
    }

    void Reach(UpstreamHost chosen, bool mayUseKept)
    {
        if (mayUseKept && KeptConnections.TryTake(target, chosen) is { } kept)
        {
            Become(kept, chosen);
        }
        else
        {
            Connect(chosen, wasFirst: false);
        }
    }

    /// <param name="wasFirst">Of those that wait: it gets its place back.</param>
    void Connect(UpstreamHost chosen, bool wasFirst)
    {
        var cluster = target.Cluster;
        var http2 = chosen.IsHttp2(target) == true ? chosen.Http2(cluster) : null;
        if (http2 is { IsConnecting: true })
        {
            // One of its streams will do.
            if (TryWait(AttemptState.Connecting, http2.Waiting, wasFirst: false))
            {
                slot.Take(chosen);
            }

            return;
        }

        if (chosen.Load.Connections >= cluster.Limits.MaximumConnections)
        {
            if (KeptConnections.TryTakeAny(target, loop.Index, out var at, out var from) is { } stream)
            {
                Endpoint = at;
                Become(stream, from!);
                return;
            }

            if (!KeptConnections.TryMakeRoom(cluster, loop.Index))
            {
                TryWait(AttemptState.Waiting, chosen.Load.Waiting, wasFirst);
                return;
            }
        }

        slot.Take(chosen);
        if (http2 is not null)
        {
            Wait(AttemptState.Connecting, http2.Waiting, wasFirst: false);
            http2.Connect(cluster);
            return;
        }

        State = AttemptState.Connecting;
        connecting = new Connecting(upstreams.Handshakes, chosen, cluster, target.Downstream, this);
        connecting.Begin();
    }

    /// <summary>Waits, where one more may; has failed otherwise.</summary>
    bool TryWait(AttemptState state, PendingQueue queue, bool wasFirst)
    {
        if (target.IsRaw || target.Cluster.Loads[loop.Index].Pending >= target.Cluster.Limits.MaximumPending)
        {
            Fail(Cause.PendingOverflow);
            return false;
        }

        Wait(state, queue, wasFirst);
        return true;
    }

    void Wait(AttemptState state, PendingQueue queue, bool wasFirst)
    {
        State = state;
        queue.Add(pending, wasFirst);
    }

    void Become(ClientStream stream, UpstreamHost from)
    {
        slot.Take(from);
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
        var at = slot.Host!;
        slot.Release();
        Reach(at, mayUseKept: true);
        owner.OnReady();
    }

    void OnStream(ClientStream stream)
    {
        Stream = stream;
        stream.Owner = owner;
        State = AttemptState.Ready;
    }

    void Fail(Cause cause)
    {
        slot.Release();
        Failure = cause;
        State = AttemptState.Failed;
    }

    /// <summary>A connection may have become free.</summary>
    public void OnFree()
    {
        Connect(upstreams.HostOf(Endpoint!, target.Cluster), wasFirst: true);
        if (State == AttemptState.Waiting)
        {
            return;
        }

        // Others may have become free in the same turn, which told only the first of those that waited.
        if (target.Cluster.Loads[loop.Index].Waiting.First is { } next)
        {
            loop.Defer(next);
        }

        owner.OnReady();
    }

    public void OnConnected(TcpSocket socket, string alpn)
    {
        connecting = null;
        var (at, cluster) = (slot.Host!, target.Cluster);
        if (alpn == "h2" && !target.IsRaw)
        {
            // Its streams can be opened when the endpoint has said what it allows.
            Wait(AttemptState.Connecting, at.Http2(cluster).Waiting, wasFirst: false);
            at.Http2(cluster).Add(socket, cluster);
            return;
        }

        OnStream(target.IsRaw ? new RawStream(loop, socket, closing => at.OnClosing(closing, cluster)) : at.Http1.Add(socket, cluster));
        owner.OnReady();
    }

    public void OnConnectFailed(Cause cause, string detail)
    {
        connecting = null;
        TransportFailure = detail;
        Fail(cause);
        owner.OnReady();
    }

    /// <summary>Over, or given up, in whatever state it is.</summary>
    public void Release()
    {
        pending.GiveUp();
        State = AttemptState.None;
        if (connecting is { } making)
        {
            connecting = null;
            making.Cancel();
        }

        slot.Release();
        if (Stream is { } stream)
        {
            Stream = null;
            stream.Release();
        }
    }

    public void Abandon() => owner.Abandon();
}
