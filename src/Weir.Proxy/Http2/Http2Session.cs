using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// One connection that speaks HTTP/2 (RFC 9113), on either side: its frames, its streams, its windows and settings. Its owner, a handler
/// of the loop, calls <see cref="Run"/> when the socket or the session itself wants to go on.
/// </summary>
sealed class Http2Session
{
    readonly LoopHandler owner;
    readonly IHttp2Role role;
    readonly StreamTable streams;
    BlockedStreams blocked;
    FlowWindow sendWindow = new(FlowWindow.DefaultSize);
    FlowWindow receiveWindow;
    Http2Settings peer = new();
    int unannounced;

    public Http2Session(EventLoop loop, TcpSocket socket, LoopHandler owner, IHttp2Role role, Http2Options options)
    {
        Loop = loop;
        this.owner = owner;
        this.role = role;
        Options = options;

        streams = new StreamTable(options.MaximumConcurrentStreams);
        Output = new Http2Output(loop, socket, options.MaximumOutboundControlFrames);
        Floods = new FloodGuard(loop, options);
        Heads = new HeadWriter(Output, options.HpackTableBytes);
        receiveWindow = new FlowWindow(Math.Max(options.ConnectionWindowBytes, FlowWindow.DefaultSize));
    }

    public EventLoop Loop { get; }

    public Http2Options Options { get; }

    public Http2Output Output { get; }

    public HeadWriter Heads { get; }

    public FloodGuard Floods { get; }

    public int StreamCount => streams.Count;

    /// <summary>So many streams are open that the peer may open no more.</summary>
    public bool IsFull => streams.IsFull;

    public IEnumerable<StreamState> Streams => streams.All;

    /// <summary>The connection is over, for whatever reason.</summary>
    public bool IsClosed { get; private set; }

    public int SendWindow => sendWindow.Available;

    public int PeerMaximumFrame => peer.MaxFrameSize;

    public uint PeerMaximumStreams => peer.MaxConcurrentStreams;

    public bool PeerAllowsConnect => peer.EnableConnectProtocol;

    public int LastPeerStream { get; set; }

    /// <summary>Says what we allow, and how much may be sent to us.</summary>
    public void SendPreface(params ReadOnlySpan<(SettingId Id, uint Value)> settings)
    {
        Output.Settings(settings);
        if (Options.ConnectionWindowBytes > FlowWindow.DefaultSize)
        {
            Output.WindowUpdate(0, Options.ConnectionWindowBytes - FlowWindow.DefaultSize);
        }

        ScheduleFlush();
    }

    public void ScheduleFlush() => Loop.Defer(owner);

    public StreamState Open(int id)
    {
        var state = streams.TryTakeSpare() ?? new StreamState(this);
        state.Open(id, peer.InitialWindowSize, Options.StreamWindowBytes);
        streams.Add(state);
        Floods.CountStream();
        return state;
    }

    /// <summary>Null as well for one that was reset, though whoever uses it may still have to let go of it.</summary>
    public StreamState? Find(int id) => streams.Find(id);

    /// <param name="code">To reset it with; null when both sides have ended it.</param>
    public void Remove(StreamState state, Http2ErrorCode? code)
    {
        if (!streams.TryRemove(state))
        {
            return;
        }

        if (code is not { } reason)
        {
            streams.OnEnded(state.Id);
        }
        else if (!IsClosed)
        {
            Reset(state.Id, reason);
        }

        streams.Keep(state);
        role.OnStreamClosed();
    }

    public void Reset(int id, Http2ErrorCode code)
    {
        streams.OnReset(id);
        Output.Reset(id, code);
        ScheduleFlush();
    }

    /// <summary>By us, not long ago.</summary>
    public bool WasReset(int id) => streams.WasReset(id);

    /// <summary>By both sides or by the peer, not long ago.</summary>
    public bool HasEnded(int id) => streams.HasEnded(id);

    /// <summary>Ends one stream; whoever uses it is told.</summary>
    /// <returns>The connection's error.</returns>
    public Http2ErrorCode OnStreamError(int id, Http2ErrorCode code)
    {
        if (!Floods.TryReset())
        {
            return Http2ErrorCode.EnhanceYourCalm;
        }

        Reset(id, code);
        if (Find(id) is { } state)
        {
            state.OnReset(isUnprocessed: false, isMalformed: true);
            state.Handler.OnReady();
        }

        return Http2ErrorCode.NoError;
    }

    /// <summary>The peer has reset a stream.</summary>
    /// <returns>The connection's error.</returns>
    public Http2ErrorCode OnPeerReset(int id, Http2ErrorCode code)
    {
        if (role.IsIdle(id))
        {
            return Http2ErrorCode.ProtocolError;
        }

        if (Find(id) is not { } state)
        {
            // It was over before the peer knew.
            return Floods.TryIdleFrame() ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm;
        }

        state.OnReset(isUnprocessed: code == Http2ErrorCode.RefusedStream);
        state.Handler.OnReady();
        return Floods.TryReset() ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm;
    }

    /// <summary>So much content has been used up.</summary>
    public void Credit(int count)
    {
        unannounced += count;
        if (unannounced >= Options.ConnectionWindowBytes / 2 && !IsClosed)
        {
            receiveWindow.TryAdd(unannounced);
            Output.WindowUpdate(0, unannounced);
            unannounced = 0;
            ScheduleFlush();
        }
    }

    public void TakeSendWindow(int length) => sendWindow.TryTake(length);

    public bool TakeReceiveWindow(int length) => receiveWindow.TryTake(length);

    /// <summary>The stream waits until there is room or a window.</summary>
    public void Block(StreamState state) => blocked.Add(state);

    /// <summary>Sends what there is, and lets streams go on that waited for it, each in its turn.</summary>
    public void Flush()
    {
        var flushed = Output.Flush();
        if (Output.IsBroken)
        {
            if (Output.IsFlooded && !IsClosed)
            {
                role.OnFlood();
            }

            Fail();
        }
        else if (flushed || mayUnblock)
        {
            Unblock();
        }
    }

    bool mayUnblock;

    void Unblock()
    {
        mayUnblock = false;
        for (var state = blocked.TakeAll(); state is not null;)
        {
            var next = BlockedStreams.Next(state);
            if (streams.Contains(state))
            {
                state.Handler.OnReady();
            }

            state = next;
        }
    }

    public Http2ErrorCode OnSettings(ReadOnlySpan<byte> payload)
    {
        var before = peer.InitialWindowSize;
        var error = peer.ApplyAll(payload, fromServer: !role.IsServer);
        if (error != Http2ErrorCode.NoError)
        {
            return error;
        }

        Heads.SetTableSize(peer.HeaderTableSize);
        if (peer.InitialWindowSize != before)
        {
            foreach (var state in streams.All)
            {
                if (!state.AdjustSendWindow(peer.InitialWindowSize - before))
                {
                    return Http2ErrorCode.FlowControlError;
                }
            }

            mayUnblock = true;
        }

        Output.SettingsAck();
        ScheduleFlush();
        return Http2ErrorCode.NoError;
    }

    /// <returns>The connection's error.</returns>
    public Http2ErrorCode OnWindowUpdate(int id, int increment)
    {
        if (id != 0 && role.IsIdle(id))
        {
            return Http2ErrorCode.ProtocolError;
        }

        if (!Floods.TryWindowUpdate(Output.DataFrames))
        {
            return Http2ErrorCode.EnhanceYourCalm;
        }

        mayUnblock = true;
        ScheduleFlush();
        if (id == 0)
        {
            return increment == 0 ? Http2ErrorCode.ProtocolError : sendWindow.TryAdd(increment) ? Http2ErrorCode.NoError : Http2ErrorCode.FlowControlError;
        }

        // On a stream that is over it means nothing (RFC 9113 section 5.1).
        return Find(id) is not { } state ? Http2ErrorCode.NoError
            : increment == 0 ? OnStreamError(id, Http2ErrorCode.ProtocolError)
            : state.OnWindowUpdate(increment) ? Http2ErrorCode.NoError
            : OnStreamError(id, Http2ErrorCode.FlowControlError);
    }

    /// <summary>Tells the peer why, and closes.</summary>
    public void Fail(Http2ErrorCode code)
    {
        if (!IsClosed)
        {
            if (code == Http2ErrorCode.EnhanceYourCalm)
            {
                role.OnFlood();
            }

            Output.GoAway(LastPeerStream, code);
            Output.Flush();
            Fail();
        }
    }

    /// <summary>The connection is gone: every stream ends, and is told.</summary>
    public void Fail()
    {
        if (IsClosed)
        {
            return;
        }

        IsClosed = true;
        foreach (var state in streams.All.ToArray())
        {
            state.OnReset(isUnprocessed: false);
            state.Handler.OnReady();
        }

        Output.Release();
        role.OnClosed();
    }
}
