using System.Diagnostics;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Exchanges;

/// <summary>
/// One request and its answer. Transitions only: what is written and read is the streams' matter, reaching an upstream that of
/// <see cref="UpstreamRequest"/>, when something is late the deadlines', what is kept of it the record's. Reused.
/// <code>
/// Idle ─▶ Filtering ─▶ Attempting ─▶ Relaying ─▶ Finishing ─▶ Idle
///             │             │            │ (reset)      ▲
///             └─────────────┴─▶ Replying ┼──────────────┘
/// </code>
/// </summary>
sealed class Exchange : LoopHandler
{
    const int MaximumInterim = 1000;

    /// <summary>
    /// How long a client may take to read an answer after it has closed its own side: it may have gone altogether, which looks the
    /// same until something is sent.
    /// </summary>
    const int HalfClosedMilliseconds = 30_000;

    readonly ExchangeServices services;
    readonly EventLoop loop;
    readonly ExchangeRecord record;
    readonly Deadlines deadlines = new();
    readonly UpstreamRequest upstream;
    readonly FilterRun filters;
    ServerStream server = null!;
    HttpOptions options = null!;
    RouteChoice choice;
    BodyPipe down;
    ReplySender reply;
    byte[]? cookie;
    long responseTurn;
    Phase phase;
    int interims;
    bool isTunnel;

    enum Phase : byte
    {
        Idle,
        Filtering,
        Attempting,
        Relaying,

        /// <summary>An answer of the proxy's own.</summary>
        Replying,

        /// <summary>All is passed on; what is left is to be sent.</summary>
        Finishing,
    }

    public Exchange(ExchangeServices services)
    {
        this.services = services;
        loop = services.Loop;
        record = new ExchangeRecord(services);
        upstream = new UpstreamRequest(services, this, record, deadlines);
        filters = new FilterRun(this, record, upstream);
    }

    public void Begin(ServerStream stream, Cause refusal, byte[]? text)
    {
        (server, options) = (stream, (HttpOptions)stream.Limits);
        server.Owner = this;
        choice = default;
        down = default;
        reply = default;
        isTunnel = false;
        interims = 0;
        responseTurn = -1;
        record.Begin(stream, options);
        filters.Begin(stream, options.Filters);
        deadlines.Begin(loop.Now, 0, 0, options.StreamIdleMilliseconds);
        phase = Phase.Filtering;
        if (refusal != Cause.None)
        {
            Reply(LocalReply.Of(refusal, text));
        }
        else if (services.IsOverloaded() && !options.IsOwn)
        {
            Reply(LocalReply.Of(Cause.Overload));
        }
        else
        {
            OnFilter(FilterVerdict.Continue);
        }
    }

    /// <summary>A filter has decided; from the loop, where it had to wait.</summary>
    public void OnFilter(FilterVerdict verdict)
    {
        if (phase != Phase.Filtering)
        {
            return;
        }

        switch (verdict == FilterVerdict.Continue ? filters.Run() : verdict)
        {
            case FilterVerdict.Reply:
                Reply(filters.Reply);
                break;
            case FilterVerdict.Wait:
                SetTimer();
                break;
            default:
                Route();
                break;
        }
    }

    void Route()
    {
        choice = RouteChoice.Make(server, options, services.RequestIds, ref cookie, out var answer);
        record.Facts.Route = choice.Route?.Name ?? "";
        if (answer is { } own)
        {
            Reply(own);
            return;
        }

        record.Facts.Cluster = choice.Cluster!.NameBytes;
        record.BeginTrace();
        var timeout = choice.Route!.TimeoutMilliseconds;
        if (GrpcStatuses.Timeout(server.Request, server.RequestBytes) is > 0 and var asked)
        {
            timeout = (int)Math.Min(timeout > 0 ? timeout : int.MaxValue, asked);
        }

        var idle = choice.Route.IdleMilliseconds ?? options.StreamIdleMilliseconds;
        deadlines.Begin(loop.Now, timeout, server.Request.Body == BodyKind.None ? 0 : options.RequestMilliseconds, idle);
        phase = Phase.Attempting;
        upstream.Begin(server, choice, idle);
        OnReady();
    }

    /// <summary>Something has changed at one of its streams, its attempt or its deadlines.</summary>
    public override void OnReady()
    {
        // Each step returns whether the next can be taken at once.
        while (phase switch
        {
            Phase.Filtering => Watch(),
            Phase.Attempting => Watch() || StepAttempting(),
            Phase.Relaying => StepRelaying(),
            Phase.Replying => StepReplying(),
            Phase.Finishing => StepFinishing(),
            _ => false,
        })
        {
        }

        if (phase != Phase.Idle)
        {
            SetTimer();
        }
    }

    void SetTimer()
    {
        if (deadlines.Next is < long.MaxValue and var due && due < Deadline)
        {
            loop.Timers.Set(this, due);
        }
    }

    /// <summary>A deadline has come, or was moved since the timer was set.</summary>
    public override void OnDue()
    {
        var cause = phase == Phase.Idle ? Cause.None : deadlines.Due(loop.Now);
        if (cause != Cause.None)
        {
            Abort(cause);
        }
        else if (phase != Phase.Idle)
        {
            SetTimer();
        }
    }

    /// <summary>Whether the client is still there.</summary>
    /// <returns>True when that ended the exchange.</returns>
    bool Watch()
    {
        if (server.IsGone)
        {
            Abort(Cause.ClientGone);
            return true;
        }

        if (server.IsHalfClosed && phase == Phase.Attempting && server.IsRequestDone)
        {
            deadlines.ClientHalfClosed(loop.Now + HalfClosedMilliseconds);
        }

        return false;
    }

    bool StepAttempting()
    {
        switch (upstream.Advance())
        {
            case UpstreamStatus.Interim when ++interims <= MaximumInterim:
                PassInterim();
                return true;
            case UpstreamStatus.Interim:
                Abort(Cause.UpstreamProtocol);
                return false;
            case UpstreamStatus.Final:
                BeginRelaying();
                return phase == Phase.Relaying;
            case UpstreamStatus.Failed:
                Abort(upstream.Failure);
                return false;
            default:
                return false;
        }
    }

    void PassInterim()
    {
        deadlines.Touch(loop.Now);

        // A client that asked for 100 has had it from us.
        if (upstream.Response.Status != 100 || !server.Request.ExpectsContinue)
        {
            new ResponseHeadWriter(upstream.Response, upstream.Stream!.HeadBytes, choice).WriteInterim(server);
            server.Flush();
        }
    }

    void BeginRelaying()
    {
        var (stream, response) = (upstream.Stream!, upstream.Response);
        record.Facts.ResponseStartTicks = Stopwatch.GetTimestamp();
        record.Facts.Details = "via_upstream";
        responseTurn = loop.Turn;
        deadlines.Touch(loop.Now);
        deadlines.ResponseBegun();
        record.OnResponse(response, stream);
        filters.OnResponse();
        upstream.ObserveLatency();
        isTunnel = response.Status == 101 || (server.Request.IsConnect && response.Status is >= 200 and < 300);

        // An error before the whole request has come most often means that the rest is not wanted.
        var isLast = !server.IsRequestDone && response.Status >= 400;
        if (!new ResponseHeadWriter(response, stream.HeadBytes, choice).Write(server, choice.GivesCookie ? cookie : null, isLast))
        {
            Abort(Cause.UpstreamHeadTooLarge);
            return;
        }

        if (isTunnel)
        {
            upstream.BecomeTunnel();
            deadlines.BecomeTunnel(options.ConnectionIdleMilliseconds);
        }

        phase = Phase.Relaying;
    }

    bool StepRelaying()
    {
        if (server.IsGone && !isTunnel)
        {
            Abort(Cause.ClientGone);
        }
        else if (!upstream.PumpContent())
        {
            Abort(upstream.Failure);
        }
        else if (down.IsDone || PumpDown())
        {
            if (upstream.IsSent || !isTunnel)
            {
                phase = Phase.Finishing;
                return true;
            }

            server.Flush();
        }

        return false;
    }

    /// <returns>Whether the answer has been passed on whole.</returns>
    bool PumpDown()
    {
        var stream = upstream.Stream!;
        var before = down.Bytes;
        var status = down.Run(stream, server);
        if (down.Bytes != before)
        {
            deadlines.Touch(loop.Now);
            record.Facts.BytesSent = down.Bytes;
        }

        switch (status)
        {
            case PipeStatus.End:
                down.IsDone = true;
                record.OnTrailers(stream.Trailers);
                server.End(stream.Trailers);
                return true;
            case PipeStatus.Yield:
                loop.Defer(this);
                return false;
            case PipeStatus.SourceFailed:
                Abort(stream.Failure);
                return false;
            case PipeStatus.SinkFailed:
                Abort(Cause.ClientGone);
                return false;
            default:
                return false;
        }
    }

    void Reply(in LocalReply answer)
    {
        upstream.Release();
        record.Facts.Details = answer.Details;
        if (answer.Status == 0)
        {
            End(0, answer.Flag)?.Close();
            return;
        }

        deadlines.Begin(loop.Now, 0, 0, options.StreamIdleMilliseconds);
        record.Facts.GrpcStatus = answer.GrpcStatusTo(server);
        reply.Begin(server, answer, record.Facts.GrpcStatus);
        record.Facts.BytesSent = reply.Length;
        record.Facts.ResponseStartTicks = Stopwatch.GetTimestamp();
        phase = Phase.Replying;
        OnReady();
    }

    bool StepReplying()
    {
        var before = reply.Sent;
        var status = reply.Run(server);
        if (reply.Sent != before)
        {
            deadlines.Touch(loop.Now);
        }

        switch (status)
        {
            case PipeStatus.End:
                phase = Phase.Finishing;
                return true;
            case PipeStatus.SinkFailed:
                Abort(Cause.ClientGone);
                return false;
            default:
                return false;
        }
    }

    bool StepFinishing()
    {
        switch (server.Flush())
        {
            case FlushStatus.Wait when !server.IsGone:
                break;
            case FlushStatus.Done:
                End(StatusSent, reply.HasReply ? reply.Reply.Flag : ResponseFlag.None)?.Finish();
                break;
            default:
                Abort(Cause.ClientGone);
                break;
        }

        return false;
    }

    int StatusSent => reply.HasReply ? reply.StatusSent(record.Facts.GrpcStatus) : upstream.Response.Status;

    /// <summary>It cannot go on as it should: an answer of the proxy's own where none has begun, else an end that cannot be taken for a whole answer.</summary>
    void Abort(Cause cause)
    {
        if (phase is Phase.Filtering or Phase.Attempting)
        {
            Reply(LocalReply.Of(cause));
            return;
        }

        ref readonly var description = ref CauseDescription.Of(cause);
        record.Facts.Details = description.Details;
        End(StatusSent, isTunnel && cause != Cause.StreamIdle ? ResponseFlag.None : description.Flag)?.Reset(cause);
    }

    /// <summary>Writes the record and lets go of everything but the client's stream, which is given back to be ended.</summary>
    ServerStream? End(int status, ResponseFlag flag)
    {
        if (phase == Phase.Idle)
        {
            return null;
        }

        phase = Phase.Idle;
        TimerWheel.Clear(this);
        if (responseTurn == loop.Turn)
        {
            record.Facts.EndTicks = record.Facts.ResponseStartTicks;
        }

        record.Write(record.Facts.Attempts > 0 ? upstream.Endpoint?.Scope ?? choice.Cluster?.Scope : choice.Cluster?.Scope, status, flag);
        filters.OnOutcome();
        upstream.Release();
        reply = default;
        var stream = server;
        server = null!;
        stream.Owner = null;
        services.Return(this);
        return stream;
    }

    /// <summary>After a defect of ours: nothing of the exchange may reach whatever is served next.</summary>
    public override void Abandon()
    {
        if (phase != Phase.Idle)
        {
            phase = Phase.Idle;
            TimerWheel.Clear(this);
            upstream.Release();
            server.Owner = null;
            server.Reset(Cause.ClientGone);
        }
    }
}
