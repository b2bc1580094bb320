using Weir.Proxy.Http;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Exchanges;

/// <summary>
/// What the client is answered: an upstream's heads and content as they come, content both ways where the two have agreed to a tunnel,
/// or an answer of the proxy's own. Reused with its exchange.
/// </summary>
sealed class Answer(EventLoop loop, LoopHandler owner, UpstreamRequest upstream, FilterRun filters, ExchangeRecord record, Deadlines deadlines)
{
    ServerStream server = null!;
    HttpOptions options = null!;
    ReplySender reply;
    BodyPipe content;
    int interims;
    bool isTunnel;

    /// <summary>Why it cannot be sent, or not whole.</summary>
    public Cause Failure { get; private set; }

    /// <summary>As the client was told.</summary>
    public int Status => reply.HasReply ? reply.StatusSent : upstream.Response.Status;

    public ResponseFlag Flag => reply.Flag;

    /// <summary>What is to be said of an answer that was cut off. A tunnel has no right end, but it may have been forgotten.</summary>
    public ResponseFlag FlagOf(Cause cause) => isTunnel && cause != Cause.StreamIdle ? ResponseFlag.None : CauseDescription.Of(cause).Flag;

    public void Begin(ServerStream stream, HttpOptions settings)
    {
        (server, options) = (stream, settings);
        Failure = Cause.None;
        reply = default;
        content = default;
        interims = 0;
        isTunnel = false;
    }

    /// <returns>False when there have been too many.</returns>
    public bool PassInterim(in RouteChoice choice)
    {
        if (++interims > ClientStream.MaximumInterims)
        {
            Failure = Cause.UpstreamProtocol;
            return false;
        }

        deadlines.Touch(loop.Now);

        // A client that asked for 100 has had it from us.
        if (upstream.Response.Status != 100 || !server.Request.ExpectsContinue)
        {
            new ResponseHeadWriter(upstream.Response, upstream.Stream!.HeadBytes, choice).WriteInterim(server);
            server.Flush();
        }

        return true;
    }

    /// <param name="cookie">That keeps the client at its endpoint; null for none.</param>
    /// <returns>False when the head is too large to be sent.</returns>
    public bool PassHead(in RouteChoice choice, byte[]? cookie)
    {
        var (stream, response) = (upstream.Stream!, upstream.Response);
        if (server.Request.IsExtendedConnect && response.Status is >= 200 and < 300)
        {
            // The upstream has not agreed to the protocol, and to this client 200 would say that it had.
            Failure = Cause.UpstreamProtocol;
            return false;
        }

        if (response.Status == 101 && !stream.IsHttp2 && !System.Text.Ascii.EqualsIgnoreCase(response.Upgrade.Of(stream.HeadBytes), choice.Upgrade.Of(server.RequestBytes)))
        {
            // It has changed to another protocol than it was asked for.
            Failure = Cause.UpstreamProtocol;
            return false;
        }

        deadlines.Touch(loop.Now);
        deadlines.ResponseBegun();
        record.OnResponse(response, stream);
        filters.OnResponse();
        upstream.ObserveLatency();
        isTunnel = response.Status == 101 || (server.Request.IsConnect && response.Status is >= 200 and < 300);

        // Before the whole request has come nobody knows whether the rest is wanted: if it is not, the connection cannot go on.
        var isLast = !server.IsRequestDone;
        if (!new ResponseHeadWriter(response, stream.HeadBytes, choice).Write(server, cookie, isLast))
        {
            Failure = Cause.UpstreamHeadTooLarge;
            return false;
        }

        if (isTunnel)
        {
            upstream.BecomeTunnel();
            deadlines.BecomeTunnel(options.ConnectionIdleMilliseconds);
        }

        return true;
    }

    /// <summary>Passes on what has come: of the answer, and of the request as long as that has more.</summary>
    public AnswerStatus Relay()
    {
        if (server.IsGone && !isTunnel)
        {
            return Fail(Cause.ClientGone);
        }

        if (!upstream.PumpContent())
        {
            return Fail(upstream.Failure);
        }

        if (!content.IsDone && PumpContent() is not AnswerStatus.Done and var status)
        {
            return status;
        }

        if (upstream.IsSent || !isTunnel)
        {
            return AnswerStatus.Done;
        }

        server.Flush();
        return AnswerStatus.Wait;
    }

    AnswerStatus PumpContent()
    {
        var stream = upstream.Stream!;
        var before = content.Bytes;
        var status = content.Run(stream, server);
        if (content.Bytes != before)
        {
            deadlines.Touch(loop.Now);
            record.Facts.BytesSent = content.Bytes;
        }

        switch (status)
        {
            case PipeStatus.End:
                content.IsDone = true;
                record.OnTrailers(stream.Trailers);
                server.End(stream.Trailers);
                return AnswerStatus.Done;
            case PipeStatus.Yield:
                loop.Defer(owner);
                return AnswerStatus.Wait;
            case PipeStatus.SourceFailed:
                return Fail(stream.Failure);
            case PipeStatus.SinkFailed:
                return Fail(Cause.ClientGone);
            default:
                return AnswerStatus.Wait;
        }
    }

    /// <summary>The proxy answers by itself.</summary>
    public void BeginReply(in LocalReply answer)
    {
        deadlines.Begin(loop.Now, 0, 0, options.StreamIdleMilliseconds);
        reply.Begin(server, answer);
        record.OnReply(reply.GrpcStatus, reply.Length);
    }

    public AnswerStatus SendReply()
    {
        var before = reply.Sent;
        var status = reply.Run(server);
        if (reply.Sent != before)
        {
            deadlines.Touch(loop.Now);
        }

        return status == AnswerStatus.Failed ? Fail(Cause.ClientGone) : status;
    }

    /// <summary>All is passed on; sends what was held back.</summary>
    public AnswerStatus Flush() => server.Flush() switch
    {
        FlushStatus.Wait when !server.IsGone => AnswerStatus.Wait,
        FlushStatus.Done => AnswerStatus.Done,
        _ => Fail(Cause.ClientGone),
    };

    AnswerStatus Fail(Cause cause)
    {
        Failure = cause;
        return AnswerStatus.Failed;
    }
}
