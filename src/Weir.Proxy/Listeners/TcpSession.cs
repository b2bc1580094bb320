using System.Diagnostics;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>A session of bytes between a client and an endpoint.</summary>
sealed class TcpSession : Connection, ILogSubject
{
    readonly Worker worker;
    readonly EventLoop loop;
    readonly TcpOptions options;
    readonly RawStream client;
    readonly Attempt attempt;
    BodyPipe up;
    BodyPipe down;
    readonly Deadlines deadlines = new();
    LogFacts facts;
    WeightedTarget? target;
    TcpSeries? series;
    bool isOver;

    public TcpSession(Worker worker, TcpSocket socket, Downstream downstream, FilterChain chain)
        : base(chain)
    {
        this.worker = worker;
        loop = worker.Loop;
        options = chain.Tcp!;
        Downstream = downstream;
        client = new RawStream(loop, socket, null) { Owner = this };
        socket.Handler = client;
        attempt = new Attempt(worker.Upstreams, this);
    }

    public Downstream Downstream { get; }

    ref readonly LogFacts ILogSubject.Facts => ref facts;

    ReadOnlySpan<byte> ILogSubject.TraceId => default;

    ReadOnlySpan<byte> ILogSubject.RequestHeader(ReadOnlySpan<byte> name) => default;

    ReadOnlySpan<byte> ILogSubject.ResponseHeader(ReadOnlySpan<byte> name) => default;

    public override void Begin()
    {
        facts = LogFacts.Begin(loop.Time.GetUtcNow());
        deadlines.Begin(loop.Now, options.MaximumMilliseconds, 0, 0, Cause.SessionTooLong);
        target = options.Pick();
        if (target.Cluster.Current is not { } cluster)
        {
            End(Cause.NoCluster);
            return;
        }

        facts.Cluster = cluster.NameBytes;
        Connect(cluster);
        OnReady();
    }

    public override void Drain()
    {
        // A session of bytes has no point at which it could be ended without harm; the drain limit ends it.
    }

    void Connect(Cluster cluster)
    {
        ulong? hash = cluster.Balancing.Policy is BalancingPolicy.RingHash or BalancingPolicy.Maglev ? HashPolicy.OfAddress(Downstream.Peer) : null;
        var failed = attempt.Endpoint;
        attempt.Release();
        facts.Attempts++;
        attempt.Start(
            new AttemptTarget(cluster, target!.Subset, hash, Downstream, IsRaw: true, IsHttp2: false), facts.Attempts == 1 ? null : failed, isFresh: true);
    }

    public override void OnReady()
    {
        if (isOver)
        {
            return;
        }

        while (attempt.State == AttemptState.Failed)
        {
            facts.UpstreamAddress = attempt.Endpoint?.Address;
            facts.TransportFailure = attempt.TransportFailure;
            if (facts.Attempts >= options.ConnectAttempts || client.Socket.IsBroken
                || attempt.Failure is Cause.NoHealthyEndpoint or Cause.PendingOverflow || target!.Cluster.Current is not { } cluster)
            {
                End(attempt.Failure);
                return;
            }

            Connect(cluster);
        }

        if (attempt.State == AttemptState.Ready)
        {
            Relay((RawStream)attempt.Stream!);
        }
        else if (client.Socket.IsBroken)
        {
            End(Cause.ClientGone);
        }

        SetTimer();
    }

    void Relay(RawStream upstream)
    {
        if (series is null)
        {
            facts.UpstreamAddress = attempt.Endpoint!.Address;
            facts.UpstreamLocalAddress = options.AccessLogs.Length > 0 ? upstream.LocalAddress : null;
            upstream.Socket.Handler = upstream;
            series = attempt.Endpoint.Scope.Tcp(loop.Index);
            series.Opened++;
            deadlines.SetIdle(loop.Now, options.IdleMilliseconds);
        }

        if (Pump(ref up, client, upstream) && Pump(ref down, upstream, client) && up.IsDone && down.IsDone)
        {
            End(Cause.None);
        }
    }

    /// <returns>False when that ended the session.</returns>
    bool Pump(ref BodyPipe pipe, RawStream from, RawStream to)
    {
        if (pipe.IsDone)
        {
            return true;
        }

        var before = pipe.Bytes;
        var status = pipe.Run(from, to);
        if (pipe.Bytes != before)
        {
            deadlines.Touch(loop.Now);
        }

        switch (status)
        {
            case PipeStatus.End:
                pipe.IsDone = true;
                to.End(null);
                return true;
            case PipeStatus.Yield:
                loop.Defer(this);
                return true;
            case PipeStatus.Wait:
                return true;
            default:
                // A reset is passed on as a reset: the other side must not take it for a complete stream.
                End(Cause.Reset);
                return false;
        }
    }

    void SetTimer()
    {
        if (!isOver)
        {
            deadlines.SetTimer(loop, this);
        }
    }

    public override void OnDue()
    {
        if (deadlines.Due(loop.Now) is not Cause.None and var cause)
        {
            End(cause);
        }
        else
        {
            SetTimer();
        }
    }

    void End(Cause cause)
    {
        if (isOver)
        {
            return;
        }

        isOver = true;
        loop.Timers.Remove(this);
        facts.BytesReceived = up.Bytes;
        facts.BytesSent = down.Bytes;
        facts.EndTicks = Stopwatch.GetTimestamp();
        if (cause is not Cause.None && (series is null || cause is not Cause.Reset))
        {
            ref readonly var description = ref CauseDescription.Of(cause);
            facts.Flag = description.Flag;
            facts.Details = series is null ? description.Details : facts.Details;
        }

        if (series is not null)
        {
            series.ReceivedBytes += up.Bytes;
            series.SentBytes += down.Bytes;
            series.Closed++;
        }

        if (attempt.Stream is RawStream upstream)
        {
            upstream.Close(resets: cause == Cause.Reset);
        }

        attempt.Release();
        client.Close(resets: cause == Cause.Reset);
        worker.Connections.Remove(this);
        foreach (var log in options.AccessLogs)
        {
            log.Write(loop, this);
        }
    }

    public override void Abandon() => End(Cause.Reset);
}
