using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>Reads the frames of a connection and brings each to where it belongs. Content is passed on as it comes, other frames whole.</summary>
sealed class FrameReader(Http2Session session, TcpSocket socket, IHttp2Role role, IHeadReceiver heads)
{
    /// <summary>Of one turn, so that a fast peer does not take the loop for itself.</summary>
    const int MaximumReads = 8;

    /// <summary>Field blocks of one turn: each may be a request.</summary>
    const int MaximumHeads = 256;

    ReadBuffer input = new(session.Loop.Buffers);
    DataReader data = new(session);
    HeadBlock open = new(session.Loop.Buffers);
    int headsLeft;
    bool isFirst = true;
    int prefaceLeft;

    /// <summary>What a client says first (RFC 9113 section 3.4).</summary>
    public static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    /// <summary>The peer is in the middle of a field block, or of another frame that is not content.</summary>
    public bool IsInFrame => open.Stream != 0 || (!data.IsOpen && !input.IsEmpty);

    /// <summary>Counts frames; a field block of several is one.</summary>
    public long Frames { get; private set; }

    /// <summary>The peer has said what it allows.</summary>
    public bool HasSettings => !isFirst;

    /// <summary>The client's preface comes first.</summary>
    public void ExpectPreface() => prefaceLeft = Preface.Length;

    /// <summary>What was read before it was known that HTTP/2 is spoken.</summary>
    public void Push(ReadOnlySpan<byte> bytes) => input.Append(bytes);

    /// <summary>Reads what has come.</summary>
    /// <returns>The connection's error.</returns>
    public Http2ErrorCode Run(out bool hasMore)
    {
        hasMore = false;
        headsLeft = MaximumHeads;
        for (var reads = 0; ; reads++)
        {
            var error = ReadFrames();
            if (error != Http2ErrorCode.NoError || session.IsClosed)
            {
                return error;
            }

            if (reads == MaximumReads || headsLeft <= 0)
            {
                hasMore = true;
                return Http2ErrorCode.NoError;
            }

            var read = socket.IsReadable ? input.Fill(socket, isBulk: true) : -Native.Eagain;
            switch (read)
            {
                case > 0:
                    break;
                case -Native.Enobufs:
                    // Whole frames other than content: at most one of the largest size.
                    if (!input.MakeRoom(BufferPool.LargeSize))
                    {
                        return Http2ErrorCode.FrameSizeError;
                    }

                    break;
                case -Native.Eagain:
                    if (input.IsEmpty)
                    {
                        input.Release();
                    }

                    return Http2ErrorCode.NoError;
                default:
                    session.Fail();
                    return Http2ErrorCode.NoError;
            }
        }
    }

    Http2ErrorCode ReadFrames()
    {
        if (prefaceLeft > 0 && !ReadPreface(out var error))
        {
            return error;
        }

        while (!session.IsClosed && headsLeft > 0)
        {
            if (data.IsOpen)
            {
                if (data.Needs(input))
                {
                    return Http2ErrorCode.NoError;
                }

                error = data.Read(ref input);
            }
            else if (!FrameHeader.TryRead(input.Unread, out var frame))
            {
                return Http2ErrorCode.NoError;
            }
            else
            {
                error = ReadFrame(frame, out var isWhole);
                if (!isWhole)
                {
                    return error;
                }
            }

            if (error != Http2ErrorCode.NoError)
            {
                return error;
            }
        }

        return Http2ErrorCode.NoError;
    }

    Http2ErrorCode ReadFrame(FrameHeader frame, out bool isWhole)
    {
        isWhole = false;
        var verdict = FrameRules.Check(frame, new FrameContext(session.IsServer, FrameHeader.DefaultMaximumLength, open.Stream, isFirst));
        if (verdict.Scope == FrameErrorScope.Connection)
        {
            return verdict.Code;
        }

        if (input.Unread.Length < FrameHeader.Size + (frame.Type == FrameType.Data ? DataReader.Needed(frame) : frame.Length))
        {
            return Http2ErrorCode.NoError;
        }

        isWhole = true;
        isFirst = false;
        Frames += frame.Type == FrameType.Continuation ? 0 : 1;
        if (frame.Type == FrameType.Data)
        {
            input.Skip(FrameHeader.Size);
            return data.Begin(frame, ref input);
        }

        ReadOnlySpan<byte> payload = input.Unread.Slice(FrameHeader.Size, frame.Length);
        var error = verdict.Scope == FrameErrorScope.None ? OnFrame(frame, payload)
            : session.IsIdle(frame.StreamId) ? verdict.Code
            : session.OnStreamError(frame.StreamId, verdict.Code);
        input.Skip(FrameHeader.Size + frame.Length);
        return error;
    }

    bool ReadPreface(out Http2ErrorCode error)
    {
        var length = Math.Min(prefaceLeft, input.Unread.Length);
        error = input.Unread[..length].SequenceEqual(Preface.Slice(Preface.Length - prefaceLeft, length)) ? Http2ErrorCode.NoError : Http2ErrorCode.ProtocolError;
        input.Skip(length);
        prefaceLeft -= length;
        return prefaceLeft == 0 && error == Http2ErrorCode.NoError;
    }

    Http2ErrorCode OnFrame(FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        switch (frame.Type)
        {
            case FrameType.Headers:
                return FramePayload.TryUnpad(frame, payload, out var fragment) ? OnHeaders(frame, fragment) : Http2ErrorCode.ProtocolError;
            case FrameType.Continuation:
                return OnContinuation(frame, payload);
            case FrameType.RstStream:
                return session.OnPeerReset(frame.StreamId, FramePayload.ReadErrorCode(payload));
            case FrameType.WindowUpdate:
                return session.Flow.OnWindowUpdate(frame.StreamId, FramePayload.ReadIncrement(payload));
            default:
                return session.Floods.TryIdleFrame() ? OnIdleFrame(frame, payload) : Http2ErrorCode.EnhanceYourCalm;
        }
    }

    /// <summary>A frame that moves nothing.</summary>
    Http2ErrorCode OnIdleFrame(FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        switch (frame.Type)
        {
            case FrameType.Settings when frame.IsAck:
                heads.OnSettingsAcknowledged();
                return Http2ErrorCode.NoError;
            case FrameType.Settings:
                return session.OnSettings(payload);
            case FrameType.Ping when frame.IsAck:
                role.OnPingAnswered();
                return Http2ErrorCode.NoError;
            case FrameType.Ping:
                session.Output.Ping(payload, isAck: true);
                session.ScheduleFlush();
                return Http2ErrorCode.NoError;
            case FrameType.GoAway:
                role.OnGoAway(FramePayload.ReadGoAway(payload).LastStreamId);
                return Http2ErrorCode.NoError;
            default:
                // PRIORITY, and types that nobody knows: read over.
                return Http2ErrorCode.NoError;
        }
    }

    Http2ErrorCode OnHeaders(FrameHeader frame, ReadOnlySpan<byte> fragment) =>
        frame.IsEndHeaders ? OnBlock(frame.StreamId, fragment, frame.IsEndStream)
        : open.TryBegin(frame, fragment) ? Http2ErrorCode.NoError
        : Http2ErrorCode.EnhanceYourCalm;

    Http2ErrorCode OnContinuation(FrameHeader frame, ReadOnlySpan<byte> fragment)
    {
        if (!open.TryContinue(fragment) || (fragment.IsEmpty && !frame.IsEndHeaders && !session.Floods.TryIdleFrame()))
        {
            return Http2ErrorCode.EnhanceYourCalm;
        }

        if (!frame.IsEndHeaders)
        {
            return Http2ErrorCode.NoError;
        }

        var error = OnBlock(open.Stream, open.Bytes, open.IsEnd);
        open.Release();
        return error;
    }

    Http2ErrorCode OnBlock(int stream, ReadOnlySpan<byte> block, bool isEnd)
    {
        headsLeft--;
        return heads.OnHead(stream, session.Streams.Find(stream), block, isEnd);
    }

    public void Release()
    {
        input.Release();
        open.Release();
    }
}
