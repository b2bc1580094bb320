using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>One request on a connection to an upstream that speaks HTTP/2.</summary>
sealed class Http2ClientStream(Http2ClientConnection connection) : ClientStream
{
    readonly MessageHead next = new();
    readonly WebSocketUpgrade upgrade = new();
    StreamState? state;
    bool isSent;
    bool hasNext;
    bool isFinal;
    bool isReused;
    bool isHead;
    bool isConnect;
    bool isUpgrade;
    bool isTooLarge;
    int interims;
    long framesBefore;
    long begun;

    /// <summary>A connection that is still there has not been closed: what became of the request is the server's doing.</summary>
    public override bool IsReused => isReused && connection.Session.IsClosed;

    public override bool IsHttp2 => true;

    public override bool IsUnprocessed => state is { IsUnprocessed: true };

    public override SocketAddressV4 LocalAddress => connection.Socket.LocalAddress;

    public override ReadOnlySpan<byte> HeadBytes => state!.Head.Bytes;

    public override FieldBlock? Trailers => state!.HasTrailers ? state.Trailers : null;

    public void Begin(StreamState opened)
    {
        state = opened;
        opened.Handler = this;
        Failure = Cause.None;
        isReused = connection.IsReused;
        (framesBefore, begun) = (connection.FramesRead, connection.Session.Loop.Now);
        hasNext = isFinal = isTooLarge = false;
        interims = 0;
        upgrade.Clear();
    }

    public override void OnReady() => Owner?.OnReady();

    public override void OnDue()
    {
        // The exchange has the deadlines.
    }

    public override void BeginHead(ReadOnlySpan<byte> method, ReadOnlySpan<byte> authority, ReadOnlySpan<byte> path, ReadOnlySpan<byte> protocol)
    {
        isHead = method.SequenceEqual("HEAD"u8);
        isConnect = method.SequenceEqual("CONNECT"u8);
        isUpgrade = !protocol.IsEmpty;
        isSent = !state!.IsReset && (!isUpgrade || connection.Session.Peer.EnableConnectProtocol);
        if (!isSent)
        {
            return;
        }

        connection.Session.Heads.Begin();
        Write(":method"u8, isUpgrade ? "CONNECT"u8 : method);
        if (isUpgrade)
        {
            Write(":protocol"u8, protocol);
        }

        if (!isConnect)
        {
            // That of this hop: servers refuse another than their own. x-forwarded-proto says what the client used.
            Write(":scheme"u8, connection.Socket.Layer is null ? "http"u8 : "https"u8);
            Write(":path"u8, path);
        }

        Write(":authority"u8, isConnect ? path : authority);
    }

    void Write(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => connection.Session.Heads.Field(name, value);

    public override void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (!isSent || HopFields.IsOne(name))
        {
            return;
        }

        if (isUpgrade && Ascii.EqualsLower(name, "sec-websocket-key"u8))
        {
            upgrade.SetKey(value);
            return;
        }

        Write(name, value);
    }

    public override bool EndHead(ContentLength length)
    {
        if (!isSent)
        {
            return true;
        }

        var isTunnel = isUpgrade || isConnect;
        if (length.Length >= 0 && !isTunnel)
        {
            connection.Session.Heads.ContentLength(length.Length);
        }

        state!.EndHead(isEnd: !length.HasContent && !isTunnel);
        return true;
    }

    /// <summary>A head or trailers have come.</summary>
    public HeadResult OnHead(HeadReader heads, ReadOnlySpan<byte> block, bool isEnd)
    {
        if (isFinal)
        {
            var read = heads.ReadTrailers(block, state!.Trailers);
            state.HasTrailers = read == HeadResult.Complete;
            return read == HeadResult.Complete && (!isEnd || state.OnEnd() != Http2ErrorCode.NoError) ? HeadResult.Malformed : read;
        }

        // An interim answer that nobody has read yet gives way to what follows it.
        var result = heads.ReadResponse(block, next, state!.Head, isEnd, isHead);
        if (result != HeadResult.Complete)
        {
            hasNext = false;
            isTooLarge = result == HeadResult.TooLarge;
            return result;
        }

        hasNext = true;
        isFinal = state!.HasHead = next.Status >= 200;
        if (!isFinal)
        {
            // Also such as nobody has read yet: they could come without end.
            return isEnd || ++interims > MaximumInterims ? HeadResult.Malformed : HeadResult.Complete;
        }

        if (next.Status < 300 && (isConnect || isUpgrade))
        {
            next.Body = BodyKind.UntilClose;
            next.ContentLength = -1;
            if (isEnd)
            {
                state.OnEnd();
            }

            if (isUpgrade && !upgrade.TryAccept(next, state.Head, connection.Session.Loop.Buffers))
            {
                hasNext = isFinal = state.HasHead = false;
                isTooLarge = true;
                return HeadResult.TooLarge;
            }

            return HeadResult.Complete;
        }

        // What an answer without content declares is not its own length.
        state.Declared = isHead || next.Status is 204 or 304 ? 0 : next.ContentLength;
        if (isEnd)
        {
            state.OnEnd();
        }

        return HeadResult.Complete;
    }

    public override HeadStatus ReadHead(MessageHead head)
    {
        if (hasNext)
        {
            hasNext = false;
            head.CopyFrom(next);
            return isFinal ? HeadStatus.Final : HeadStatus.Interim;
        }

        if (isSent && !state!.IsReset)
        {
            return HeadStatus.Wait;
        }

        Failure = isTooLarge ? Cause.UpstreamHeadTooLarge : state!.IsReset && !state.IsMalformed ? Cause.Reset : Cause.UpstreamProtocol;
        return HeadStatus.Failed;
    }

    public override ReadStatus Read(out ReadOnlySpan<byte> content)
    {
        var result = state!.Read(out content);
        if (result == ReadStatus.Failed)
        {
            Failure = state.IsMalformed ? Cause.UpstreamProtocol : Cause.Reset;
        }

        return result;
    }

    public override void Consume(int count) => state!.Consume(count);

    public override int Send(ReadOnlySpan<byte> content) => state!.Send(content);

    public override void End(FieldBlock? trailers) => state!.End(trailers);

    public override FlushStatus Flush() => state!.IsReset ? FlushStatus.Broken : FlushStatus.Done;

    public override void Release()
    {
        if (state is { } held)
        {
            state = null;
            Owner = null;
            var isUnanswered = !held.IsReset && !isFinal && held.IsSendEnded && connection.FramesRead == framesBefore;
            held.Close(Http2ErrorCode.Cancel);
            connection.Return(this);
            if (isUnanswered)
            {
                connection.Suspect(begun);
            }
        }
    }

    public override void Abandon()
    {
        var exchange = Owner;
        Release();
        exchange?.Abandon();
    }
}
