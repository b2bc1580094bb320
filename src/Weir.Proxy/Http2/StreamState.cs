using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// One stream of a connection, on either side (RFC 9113 section 5.1): its windows, its content, and which directions have ended. The
/// streams that exchanges see are made around it.
/// </summary>
sealed class StreamState(Http2Session session)
{
    ContentBuffer content = new(session.Loop.Buffers);
    FlowWindow sendWindow;
    ReceiveWindow receiveWindow;
    long received;

    public Http2Session Session => session;

    public int Id { get; private set; }

    /// <summary>Called when something has come, room has, or it has ended.</summary>
    public LoopHandler Handler { get; set; } = null!;

    /// <summary>Of the connection's list of streams that wait to send.</summary>
    public StreamState? NextBlocked { get; set; }

    public bool IsBlocked { get; set; }

    public bool IsReceiveEnded { get; private set; }

    public bool IsSendEnded { get; private set; }

    /// <summary>Reset by either side, or its connection is gone.</summary>
    public bool IsReset { get; private set; }

    /// <summary>The peer has not and will not look at the request.</summary>
    public bool IsUnprocessed { get; private set; }

    /// <summary>The peer has broken a rule of the stream's, and we have reset it.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>The message's head has come, so that content may.</summary>
    public bool HasHead { get; set; }

    /// <summary>As Content-Length says, or 0 where there can be no content; -1 when nothing is said.</summary>
    public long Declared { get; set; } = -1;

    /// <summary>All that has come has been read, and that was all.</summary>
    public bool IsRead => IsReceiveEnded && content.IsEmpty;

    public FieldBlock Head { get; } = new();

    public FieldBlock Trailers { get; } = new();

    public bool HasTrailers { get; set; }

    public void Open(int id, int sendSize, int receiveSize)
    {
        Id = id;
        sendWindow = new FlowWindow(sendSize);
        receiveWindow = new ReceiveWindow(receiveSize);
        received = 0;
        Declared = -1;
        IsReceiveEnded = IsSendEnded = IsReset = IsUnprocessed = IsMalformed = IsBlocked = HasHead = HasTrailers = false;
    }

    /// <summary>Content has come, with so much of the window used by it, padding included.</summary>
    /// <param name="isEnd">The peer has said all: the handler is told of the content and its end together.</param>
    public Http2ErrorCode OnData(byte[] source, int from, int length, int flow, bool isEnd = false)
    {
        if (IsReceiveEnded)
        {
            return Http2ErrorCode.StreamClosed;
        }

        if (!HasHead)
        {
            return Http2ErrorCode.ProtocolError;
        }

        if (!receiveWindow.TryTake(flow))
        {
            return Http2ErrorCode.FlowControlError;
        }

        received += length;
        if (Declared >= 0 && (received > Declared || (isEnd && received != Declared)))
        {
            return Http2ErrorCode.ProtocolError;
        }

        // Padding is used up at once.
        IsReceiveEnded = isEnd;
        Credit(flow - length);
        if (length > 0 || isEnd)
        {
            content.BeginDelivery(source, from, length);
            Handler.OnReady();
            content.EndDelivery();
        }

        return Http2ErrorCode.NoError;
    }

    /// <summary>The peer has said all with a head or trailers. The handler is not told.</summary>
    public Http2ErrorCode OnEnd()
    {
        if (Declared >= 0 && received != Declared)
        {
            return Http2ErrorCode.ProtocolError;
        }

        IsReceiveEnded = true;
        return Http2ErrorCode.NoError;
    }

    public bool OnWindowUpdate(int increment) => sendWindow.TryAdd(increment);

    public bool AdjustSendWindow(int difference) => sendWindow.TryAdjust(difference);

    public void OnReset(bool isUnprocessed, bool isMalformed = false)
    {
        IsReset = true;
        IsUnprocessed |= isUnprocessed;
        IsMalformed |= isMalformed;
    }

    public ReadStatus Read(out ReadOnlySpan<byte> bytes)
    {
        bytes = default;

        // What has come whole stays so, whatever happens to its stream afterwards (RFC 9113 section 8.1).
        if (!content.IsEmpty && (IsReceiveEnded || !IsReset))
        {
            bytes = content.Next;
            return ReadStatus.Content;
        }

        return IsReceiveEnded ? ReadStatus.End : IsReset ? ReadStatus.Failed : ReadStatus.Wait;
    }

    public void Consume(int count)
    {
        content.Consume(count);
        session.Flow.Credit(count);
        Credit(count);
    }

    void Credit(int count)
    {
        if (!IsReceiveEnded && !IsReset && receiveWindow.Use(count, session.Options.StreamWindowBytes) is > 0 and var increment)
        {
            session.Output.WindowUpdate(Id, increment);
            session.ScheduleFlush();
        }
    }

    /// <returns>How much was taken, or -1.</returns>
    public int Send(ReadOnlySpan<byte> bytes)
    {
        if (IsReset || IsSendEnded || session.IsClosed)
        {
            return -1;
        }

        return session.Flow.Send(this, ref sendWindow, bytes);
    }

    /// <summary>What is not content has no window: who has more of it waits while the peer does not read. The stream is called once it has.</summary>
    public FlushStatus Flush() => IsReset ? FlushStatus.Broken : session.Flow.TryWait(this) ? FlushStatus.Wait : FlushStatus.Done;

    public void End(FieldBlock? trailers)
    {
        if (IsReset || IsSendEnded || session.IsClosed)
        {
            return;
        }

        IsSendEnded = true;
        if (trailers is null || trailers.Fields.Count == 0)
        {
            session.Output.EndOfStream(Id);
        }
        else
        {
            session.Heads.Begin();
            for (var i = 0; i < trailers.Fields.Count; i++)
            {
                session.Heads.Field(trailers.Fields[i].Name.Of(trailers.Bytes), trailers.Fields[i].Value.Of(trailers.Bytes));
            }

            session.Heads.End(Id, endsStream: true, session.Peer.MaxFrameSize);
        }

        session.ScheduleFlush();
    }

    /// <summary>All fields of a head have been written.</summary>
    /// <param name="isEnd">Nothing follows.</param>
    public void EndHead(bool isEnd)
    {
        session.Heads.End(Id, isEnd, session.Peer.MaxFrameSize);
        IsSendEnded |= isEnd;
        session.ScheduleFlush();
    }

    /// <summary>Nobody uses it any more. What is not complete is reset, and what was not read is given back to the connection's window.</summary>
    public void Close(Http2ErrorCode code)
    {
        while (!content.IsEmpty)
        {
            var length = content.Next.Length;
            content.Consume(length);
            session.Flow.Credit(length);
        }

        content.Release();
        Head.Release(session.Loop.Buffers);
        Trailers.Release(session.Loop.Buffers);
        var isWhole = IsReceiveEnded && IsSendEnded;
        Http2ErrorCode? reset = !IsReset && !isWhole ? code : null;
        if (!IsReset && isWhole)
        {
            session.Floods.CountEnd();
        }

        // Before it is let go: it may be another stream's by the time that returns.
        IsReset = true;
        session.Remove(this, reset);
    }
}
