using System.Buffers.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Http2;

/// <summary>One request of an HTTP/2 connection, and its answer.</summary>
sealed class Http2ServerStream(Http2Server server) : ServerStream
{
    static readonly byte[] Name = "HTTP/2"u8.ToArray();

    RequestStreams requests = null!;
    StreamState? state;
    int status;
    bool isTunnel;
    bool hasContinued;
    bool isMalformed;

    /// <summary>A head is being written; false when nobody will read it.</summary>
    bool isInHead;

    public override Span<byte> RequestBytes => state!.Head.Writable;

    public override Downstream Downstream => requests.Downstream;

    public override ServerLimits Limits => requests.Limits;

    public override bool IsHttp2 => true;

    public override byte[] Protocol => Name;

    public override bool IsRequestDone => state!.IsRead;

    public override bool IsGone => state!.IsReset;

    public override bool IsHalfClosed => false;

    public override FieldBlock? Trailers => state!.HasTrailers ? state.Trailers : null;

    public void Begin(RequestStreams cameBy, StreamState stream)
    {
        requests = cameBy;
        state = stream;
        Failure = Cause.None;
        stream.Handler = this;
        isTunnel = hasContinued = isMalformed = false;
    }

    public override void OnReady() => Owner?.OnReady();

    public override void OnDue()
    {
        // The exchange and the connection have the deadlines.
    }

    public override ReadStatus Read(out ReadOnlySpan<byte> content)
    {
        var result = state!.Read(out content);
        if (result == ReadStatus.Failed)
        {
            Failure = Cause.ClientGone;
        }
        else if (result == ReadStatus.Wait && Request.ExpectsContinue && !hasContinued)
        {
            // The client may wait to be told that its content is wanted (RFC 9110 section 10.1.1).
            hasContinued = true;
            BeginInterim(100);
            EndHead(ContentLength.Unknown, isLast: false);
        }

        return result;
    }

    public override void Consume(int count) => state!.Consume(count);

    /// <summary>An answer does not wait for the request's end; the client is told to stop.</summary>
    public override bool SkipContent() => true;

    public override bool BeginInterim(int status)
    {
        BeginHead(status, default);
        return true;
    }

    public override void BeginHead(int status, ReadOnlySpan<byte> reason)
    {
        isTunnel = status == 101 || (Request.IsConnect && status is >= 200 and < 300);
        this.status = status == 101 ? 200 : status;
        hasContinued |= status >= 200;
        isInHead = !state!.IsReset && !isMalformed;
        if (!isInHead)
        {
            return;
        }

        state.Session.Heads.Begin();
        Span<byte> digits = stackalloc byte[3];
        Utf8Formatter.TryFormat(this.status, digits, out _);
        state.Session.Heads.Field(":status"u8, digits);
    }

    public override void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (isInHead && !HopFields.IsOne(name) && !(Request.IsExtendedConnect && Ascii.EqualsLower(name, "sec-websocket-accept"u8)))
        {
            state!.Session.Heads.Field(name, value);
        }
    }

    public override bool EndHead(ContentLength length, bool isLast)
    {
        if (!isInHead)
        {
            return true;
        }

        var isInterim = status < 200;
        if (length.Length >= 0 && !isInterim && !isTunnel && status != 204)
        {
            state!.Session.Heads.ContentLength(length.Length);
        }

        state!.EndHead(isEnd: !isInterim && !isTunnel && !length.HasContent);
        return true;
    }

    public override int Send(ReadOnlySpan<byte> content) => isMalformed ? content.Length : state!.Send(content);

    public override void End(FieldBlock? trailers)
    {
        if (!isMalformed)
        {
            state!.End(trailers);
        }
    }

    public override FlushStatus Flush() => state!.Flush();

    public override void Finish() => Leave(Http2ErrorCode.NoError);

    public override void Reset(Cause cause) => Leave(Http2ErrorCode.InternalError);

    public override void Close() => Leave(Http2ErrorCode.Cancel);

    /// <summary>
    /// Its head is malformed (RFC 9113 section 8.1.1): the stream is reset in the place of any answer, when whoever serves has taken note.
    /// </summary>
    public void BecomeMalformed()
    {
        isMalformed = true;
        Request.Reset();
    }

    void Leave(Http2ErrorCode code)
    {
        if (state is { } held)
        {
            state = null;
            Owner = null;
            held.Close(isMalformed ? Http2ErrorCode.ProtocolError : code);
            server.Return(this);
        }
    }

    public override void Abandon()
    {
        var exchange = Owner;
        Leave(Http2ErrorCode.InternalError);
        exchange?.Abandon();
    }
}
