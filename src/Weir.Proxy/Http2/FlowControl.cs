namespace Weir.Proxy.Http2;

/// <summary>
/// Flow control of a connection (RFC 9113 section 5.2): what its streams may send, within the window of each and that of all, and no faster
/// than the peer reads; and what the peer may send on all of them.
/// </summary>
sealed class FlowControl(Http2Session session)
{
    FlowWindow sendWindow = new(FlowWindow.DefaultSize);
    ReceiveWindow receiveWindow = new(Math.Max(session.Options.ConnectionWindowBytes, FlowWindow.DefaultSize));
    BlockedStreams blocked;

    /// <summary>The peer allows more than when streams were last resumed.</summary>
    bool hasOpened;

    /// <summary>For what has come, padding included; false when it is more than was allowed.</summary>
    public bool TryReceive(int length) => receiveWindow.TryTake(length);

    /// <summary>So much of what has come is used up.</summary>
    public void Credit(int count)
    {
        if (!session.IsClosed && receiveWindow.Use(count, session.Options.ConnectionWindowBytes) is > 0 and var increment)
        {
            session.Output.WindowUpdate(0, increment);
            session.ScheduleFlush();
        }
    }

    /// <summary>Writes as much as is allowed of a stream's content. When that is not all, the stream is called once more is.</summary>
    /// <param name="own">The stream's window.</param>
    /// <returns>How much was taken.</returns>
    public int Send(StreamState state, ref FlowWindow own, ReadOnlySpan<byte> content)
    {
        var taken = 0;
        while (taken < content.Length)
        {
            var allowed = Math.Min(Math.Min(own.Available, sendWindow.Available), session.Output.Room);
            var length = Math.Min(Math.Min(content.Length - taken, session.Peer.MaxFrameSize), allowed);
            if (length == 0)
            {
                blocked.Add(state);
                break;
            }

            own.TryTake(length);
            sendWindow.TryTake(length);
            session.Output.Data(state.Id, content.Slice(taken, length));
            taken += length;
        }

        session.ScheduleFlush();
        return taken;
    }

    /// <returns>True when as much waits to be written as may; the stream is called when less does.</returns>
    public bool TryWait(StreamState state)
    {
        if (session.Output.Pending < Http2Output.HighWater)
        {
            return false;
        }

        blocked.Add(state);
        session.ScheduleFlush();
        return true;
    }

    /// <returns>The connection's error.</returns>
    public Http2ErrorCode OnWindowUpdate(int id, int increment)
    {
        if (id != 0 && session.IsIdle(id))
        {
            return Http2ErrorCode.ProtocolError;
        }

        if (!session.Floods.TryWindowUpdate(session.Output.DataFrames))
        {
            return Http2ErrorCode.EnhanceYourCalm;
        }

        hasOpened = true;
        session.ScheduleFlush();
        if (id == 0)
        {
            return increment == 0 ? Http2ErrorCode.ProtocolError : sendWindow.TryAdd(increment) ? Http2ErrorCode.NoError : Http2ErrorCode.FlowControlError;
        }

        // On a stream that is over it means nothing (RFC 9113 section 5.1).
        return session.Streams.Find(id) is not { } state ? Http2ErrorCode.NoError
            : increment == 0 ? session.OnStreamError(id, Http2ErrorCode.ProtocolError)
            : state.OnWindowUpdate(increment) ? Http2ErrorCode.NoError
            : session.OnStreamError(id, Http2ErrorCode.FlowControlError);
    }

    /// <summary>The peer has changed SETTINGS_INITIAL_WINDOW_SIZE by this much (RFC 9113 section 6.9.2).</summary>
    /// <returns>The connection's error.</returns>
    public Http2ErrorCode OnInitialWindow(int difference)
    {
        foreach (var state in session.Streams.All)
        {
            if (!state.AdjustSendWindow(difference))
            {
                return Http2ErrorCode.FlowControlError;
            }
        }

        hasOpened = true;
        return Http2ErrorCode.NoError;
    }

    /// <summary>Calls the streams that wait, in the order in which they came, if there is a reason to.</summary>
    public void Resume(bool hasRoom)
    {
        if (!hasRoom && !hasOpened)
        {
            return;
        }

        hasOpened = false;
        for (var state = blocked.TakeAll(); state is not null;)
        {
            var next = BlockedStreams.Next(state);
            if (session.Streams.Contains(state))
            {
                state.Handler.OnReady();
            }

            state = next;
        }
    }
}
