using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Exchanges;

/// <summary>
/// One request and its answer. Transitions only: what is to become of the request is the <see cref="Decision"/>'s matter, reaching an
/// upstream that of <see cref="UpstreamRequest"/>, what the client is sent the <see cref="Answer"/>'s, when something is late the
/// deadlines', what is kept of it the record's. Reused.
/// <code>
/// Idle ─▶ Filtering ─▶ Attempting ─▶ Relaying ─▶ Finishing ─▶ Idle
///             │             │            │ (reset)      ▲
///             └─────────────┴─▶ Replying ┼──────────────┘
/// </code>
/// </summary>
sealed class Exchange : LoopHandler
{
    readonly ExchangeServices services;
    readonly EventLoop loop;
    readonly ExchangeRecord record;
    readonly Deadlines deadlines = new();
    readonly UpstreamRequest upstream;
    readonly FilterRun filters;
    readonly Decision decision;
    readonly Answer answer;
    ServerStream server = null!;
    HttpOptions options = null!;
    ExchangePhase phase;
    bool isRecorded;

    public Exchange(ExchangeServices services)
    {
        this.services = services;
        loop = services.Loop;
        record = new ExchangeRecord(services);
        upstream = new UpstreamRequest(services, this, record, deadlines);
        filters = new FilterRun(this, record, upstream);
        decision = new Decision(services, filters, record);
        answer = new Answer(loop, this, upstream, filters, record, deadlines);
    }

    public void Begin(ServerStream stream, Cause refusal, byte[]? text)
    {
        (server, options) = (stream, (HttpOptions)stream.Limits);
        server.Owner = this;
        isRecorded = false;
        record.Begin(stream, options);
        answer.Begin(stream, options);
        deadlines.Begin(loop.Now, 0, 0, options.StreamIdleMilliseconds);
        phase = ExchangePhase.Filtering;
        OnDecision(decision.Begin(stream, options, refusal, text));
    }

    /// <summary>A filter that had to wait has decided; from the loop.</summary>
    public void OnFilter(FilterVerdict verdict)
    {
        if (phase == ExchangePhase.Filtering)
        {
            OnDecision(decision.OnFilter(verdict));
        }
    }

    void OnDecision(DecisionStatus status)
    {
        if (status == DecisionStatus.Reply)
        {
            Reply(decision.Reply);
        }
        else if (status == DecisionStatus.Forward)
        {
            phase = ExchangePhase.Attempting;
            upstream.Begin(server, options, decision.Choice);
            OnReady();
        }
        else
        {
            deadlines.SetTimer(loop, this);
        }
    }

    /// <summary>Something has changed at one of its streams, its attempt or its deadlines.</summary>
    public override void OnReady()
    {
        // Each step returns whether the next can be taken at once.
        while (phase switch
        {
            ExchangePhase.Filtering => IsAbandoned(),
            ExchangePhase.Attempting => IsAbandoned() || StepAttempting(),
            ExchangePhase.Relaying => StepAnswering(answer.Relay(), ExchangePhase.Finishing),
            ExchangePhase.Replying => StepAnswering(answer.SendReply(), ExchangePhase.Finishing),
            ExchangePhase.Finishing => StepAnswering(answer.Flush(), ExchangePhase.Idle),
            _ => false,
        })
        {
        }

        if (phase != ExchangePhase.Idle)
        {
            deadlines.SetTimer(loop, this);
        }
    }

    /// <summary>A deadline has come, or was moved since the timer was set.</summary>
    public override void OnDue()
    {
        var cause = phase == ExchangePhase.Idle ? Cause.None : deadlines.Due(loop.Now);
        if (cause != Cause.None)
        {
            Abort(cause);
        }
        else if (phase != ExchangePhase.Idle)
        {
            deadlines.SetTimer(loop, this);
        }
    }

    /// <returns>True when the client has gone, which ends the exchange.</returns>
    bool IsAbandoned()
    {
        if (server.IsGone)
        {
            Abort(Cause.ClientGone);
            return true;
        }

        return false;
    }

    bool StepAttempting()
    {
        switch (upstream.Advance())
        {
            case UpstreamStatus.Interim when answer.PassInterim(decision.Choice):
                return true;
            case UpstreamStatus.Final when answer.PassHead(decision.Choice, decision.Cookie):
                phase = ExchangePhase.Relaying;
                return true;
            case UpstreamStatus.Interim or UpstreamStatus.Final:
                Abort(answer.Failure);
                return false;
            case UpstreamStatus.Failed:
                Abort(upstream.Failure);
                return false;
            default:
                return false;
        }
    }

    void Reply(in LocalReply reply)
    {
        upstream.Release();
        record.Facts.Details = reply.Details;
        if (reply.Status == 0)
        {
            End(0, reply.Flag)?.Close();
            return;
        }

        answer.BeginReply(reply);
        phase = ExchangePhase.Replying;
        OnReady();
    }

    bool StepAnswering(AnswerStatus status, ExchangePhase next)
    {
        switch (status)
        {
            case AnswerStatus.Done when next == ExchangePhase.Idle:
                End(answer.Status, answer.Flag)?.Finish();
                return false;
            case AnswerStatus.Done:
                phase = next;
                return true;
            case AnswerStatus.Failed:
                Abort(answer.Failure);
                return false;
            default:
                return false;
        }
    }

    /// <summary>It cannot go on as it should: an answer of the proxy's own where none has begun, else an end that cannot be taken for a whole answer.</summary>
    void Abort(Cause cause)
    {
        if (phase is ExchangePhase.Filtering or ExchangePhase.Attempting)
        {
            Reply(LocalReply.Of(cause));
            return;
        }

        record.Facts.Details = CauseDescription.Of(cause).Details;
        End(answer.Status, answer.FlagOf(cause))?.Reset(cause);
    }

    /// <summary>Writes the record and lets go of everything but the client's stream, which is given back to be ended.</summary>
    ServerStream? End(int status, ResponseFlag flag)
    {
        if (phase == ExchangePhase.Idle)
        {
            return null;
        }

        Record(status, flag);
        var stream = Release();
        services.Return(this);
        return stream;
    }

    /// <summary>Once, whatever becomes of it.</summary>
    void Record(int status, ResponseFlag flag)
    {
        if (!isRecorded)
        {
            isRecorded = true;
            record.Write(decision.Choice.Cluster, upstream.Endpoint, status, flag);
            filters.OnOutcome();
        }
    }

    ServerStream Release()
    {
        phase = ExchangePhase.Idle;
        TimerWheel.Clear(this);
        upstream.Release();
        var stream = server;
        server = null!;
        stream.Owner = null;
        return stream;
    }

    /// <summary>After a defect of ours, which is logged with the request; nothing of it may reach whatever is served next.</summary>
    public override void Abandon()
    {
        if (phase != ExchangePhase.Idle)
        {
            try
            {
                record.Facts.Details = "internal_error";
                Record(answer.Status, answer.Flag);
            }
            finally
            {
                Release().Reset(Cause.ClientGone);
            }
        }
    }
}
