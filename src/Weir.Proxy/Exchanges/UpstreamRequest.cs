using System.Diagnostics;
using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Exchanges;

/// <summary>
/// An exchange's request on its way to an upstream: as many attempts as it takes, the head, and the content that the client is still
/// sending. Reused with its exchange.
/// </summary>
sealed class UpstreamRequest
{
    const int MaximumAttempts = 3;

    readonly ExchangeServices services;
    readonly EventLoop loop;
    readonly LoopHandler owner;
    readonly ExchangeRecord record;
    readonly Deadlines deadlines;
    readonly Attempt attempt;
    readonly BodyReplay replay;
    ServerStream server = null!;
    RouteChoice choice;
    BodyPipe content;
    bool isSent;
    bool hasAnswered;

    public UpstreamRequest(ExchangeServices services, LoopHandler owner, ExchangeRecord record, Deadlines deadlines)
    {
        this.services = services;
        this.owner = owner;
        this.record = record;
        this.deadlines = deadlines;
        loop = services.Loop;
        attempt = new Attempt(services.Upstreams, owner);
        replay = new BodyReplay(loop.Buffers);
    }

    public MessageHead Response { get; } = new();

    public Cause Failure { get; private set; }

    public ClientStream? Stream => attempt.Stream;

    public Endpoint? Endpoint => attempt.Endpoint;

    /// <summary>All that the client has to send has been passed on, or is not wanted any more.</summary>
    public bool IsSent => content.IsDone;

    public void Begin(ServerStream stream, HttpOptions options, in RouteChoice route)
    {
        deadlines.Begin(
            services.Loop.Now, route.TimeoutOf(stream), stream.Request.Body == BodyKind.None ? 0 : options.RequestMilliseconds,
            route.Route!.IdleMilliseconds ?? options.StreamIdleMilliseconds);
        (server, choice) = (stream, route);
        hasAnswered = false;
        Failure = Cause.None;
        Response.Reset();
        replay.Reset();
        Start();
    }

    void Start()
    {
        var failed = attempt.Endpoint;
        attempt.Release();
        record.Facts.Attempts++;
        isSent = false;
        content = default;
        var target = new AttemptTarget(
            choice.Cluster!, choice.Target!.Subset, choice.Hash, server.Downstream, server.Request.IsConnect && choice.Route!.TerminatesConnect, server.IsHttp2);
        attempt.Start(target, record.Facts.Attempts == 1 ? null : failed, isFresh: record.Facts.Attempts == MaximumAttempts);
    }

    /// <summary>Goes on as far as it goes, until the head of the answer is there.</summary>
    public UpstreamStatus Advance()
    {
        if (server.IsHalfClosed && server.IsRequestDone)
        {
            deadlines.ClientHalfClosed(loop.Now);
        }

        while (true)
        {
            var status = attempt.State switch
            {
                AttemptState.Ready => Advance(attempt.Stream!),
                AttemptState.Failed => FailedBy(attempt.Failure),
                _ => UpstreamStatus.Wait,
            };
            if (status != UpstreamStatus.Failed || !MayTryAgain())
            {
                return status;
            }

            Start();
        }
    }

    UpstreamStatus FailedBy(Cause cause)
    {
        Failure = cause;
        record.Facts.TransportFailure = attempt.TransportFailure;
        return UpstreamStatus.Failed;
    }

    UpstreamStatus Advance(ClientStream upstream)
    {
        if (!isSent && !SendHead(upstream))
        {
            return FailedBy(Cause.RequestHeadTooLarge);
        }

        if (!PumpContent())
        {
            return UpstreamStatus.Failed;
        }

        // An interim answer is passed on before the next head is read.
        if (server.Flush() == FlushStatus.Wait)
        {
            return UpstreamStatus.Wait;
        }

        switch (upstream.ReadHead(Response))
        {
            case HeadStatus.Interim:
                hasAnswered = true;
                return UpstreamStatus.Interim;
            case HeadStatus.Final:
                hasAnswered = true;
                if (!replay.HasMore)
                {
                    replay.Release();
                }

                return UpstreamStatus.Final;
            case HeadStatus.Failed:
                return FailedBy(upstream.Failure);
            default:
                return UpstreamStatus.Wait;
        }
    }

    bool SendHead(ClientStream upstream)
    {
        isSent = true;
        record.Facts.UpstreamAddress = attempt.Endpoint!.Address;
        if (!new RequestHeadWriter(server, (HttpOptions)server.Limits, choice, services.RequestIds, record.Trace).Write(upstream))
        {
            return false;
        }

        replay.Rewind();
        if (server.Request.Body == BodyKind.None)
        {
            OnContentSent();
            upstream.Flush();
        }

        return true;
    }

    void OnContentSent()
    {
        // Sent in the turn it came in: then that is the time, near enough, and the clock need not be asked again.
        record.Facts.RequestDoneTicks = record.Facts.Attempts == 1 && content.Bytes == 0 ? record.Facts.StartTicks : Stopwatch.GetTimestamp();
        content.IsDone = true;
        deadlines.RequestDone();
    }

    /// <summary>Passes on what the client has sent.</summary>
    /// <returns>False when the client failed: <see cref="Failure"/>.</returns>
    public bool PumpContent()
    {
        var upstream = attempt.Stream!;
        if (content.IsDone)
        {
            // What there was no room for is still held back; that it can be sent no more is for the answer to tell.
            upstream.Flush();
            return true;
        }

        var before = content.Bytes;
        // What is being sent again comes first, whatever the upstream has said meanwhile.
        var status = content.Run(server, upstream, replay.HasMore || (!hasAnswered && upstream.IsHttp2) ? replay : null);
        if (content.Bytes != before)
        {
            deadlines.Touch(loop.Now);
            record.Facts.BytesReceived = content.Bytes;
        }

        switch (status)
        {
            case PipeStatus.End:
                OnContentSent();
                upstream.End(server.Trailers);
                upstream.Flush();
                break;
            case PipeStatus.Yield:
                loop.Defer(owner);
                break;
            case PipeStatus.SinkFailed:
                // The upstream wants no more; its answer may say why.
                content.IsDone = true;
                break;
            case PipeStatus.SourceFailed:
                Failure = server.Failure;
                hasAnswered = true;
                return false;
        }

        return true;
    }

    /// <summary>The peer may have closed a kept connection just as it was used again; then it has not seen the request.</summary>
    bool MayTryAgain() =>
        record.Facts.Attempts < MaximumAttempts && !hasAnswered && (content.Bytes == 0 || replay.IsComplete)
        && (Failure is Cause.ConnectionRefused or Cause.ConnectTimeout or Cause.TlsFailed
            || attempt.Stream is { IsUnprocessed: true }
            || (Failure == Cause.Reset && attempt.Stream is { IsReused: true } && choice.Upgrade.Length == 0 && Idempotence.IsSafeToRepeat(server)));

    /// <summary>Content goes both ways from now on, whatever the request was.</summary>
    public void BecomeTunnel() => content = default;

    public void ObserveLatency()
    {
        if (choice.Cluster!.Balancing is { Policy: BalancingPolicy.PeakEwma } balancing)
        {
            attempt.Host!.Latency.Record(
                Stopwatch.GetElapsedTime(record.Facts.RequestDoneTicks, record.Facts.ResponseStartTicks).TotalMilliseconds, loop.Now, balancing.DecayMilliseconds);
        }
    }

    /// <summary>Over, or given up, in whatever state it is.</summary>
    public void Release()
    {
        attempt.Release();
        replay.Release();
    }
}
