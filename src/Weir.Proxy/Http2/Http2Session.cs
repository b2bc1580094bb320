using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// One connection that speaks HTTP/2 (RFC 9113), on either side: its streams, and what the frames of the peer do to them. Its owner, a
/// handler of the loop, is deferred when there is something to write, and calls <see cref="Flush"/> then.
/// </summary>
sealed class Http2Session
{
    readonly LoopHandler owner;
    readonly IHttp2Role role;
    Http2Settings peer = new();
    int lastServed = int.MaxValue;

    public Http2Session(EventLoop loop, TcpSocket socket, LoopHandler owner, IHttp2Role role, Http2Options options, bool isServer)
    {
        Loop = loop;
        this.owner = owner;
        this.role = role;
        Options = options;
        IsServer = isServer;

        Output = new Http2Output(loop, socket, options.MaximumOutboundControlFrames);
        Heads = new HeadWriter(Output, options.HpackTableBytes);
        Streams = new StreamTable(options.MaximumConcurrentStreams);
        Floods = new FloodGuard(loop, options);
        Flow = new FlowControl(this);
    }

    public EventLoop Loop { get; }

    public Http2Options Options { get; }

    /// <summary>Whether the peer is a client.</summary>
    public bool IsServer { get; }

    public Http2Output Output { get; }

    public HeadWriter Heads { get; }

    public StreamTable Streams { get; }

    public FlowControl Flow { get; }

    public FloodGuard Floods { get; }

    /// <summary>The connection is over, for whatever reason.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>The last stream that the client has opened, or tried to; 0 for none. Servers open none.</summary>
    public int LastStream { get; set; }

    /// <summary>The settings of the other side.</summary>
    public ref readonly Http2Settings Peer => ref peer;

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

    /// <summary>Nobody has opened a stream of this number yet (RFC 9113 section 5.1). Even ones are a server's to open, and none does.</summary>
    public bool IsIdle(int id) => id > LastStream || id % 2 == 0;

    public StreamState Open(int id)
    {
        LastStream = id;
        var state = Streams.TryTakeSpare() ?? new StreamState(this);
        state.Open(id, peer.InitialWindowSize, Options.StreamWindowBytes);
        Streams.Add(state);
        Floods.CountStream();
        return state;
    }

    /// <param name="code">To reset it with; null when both sides have ended it.</param>
    public void Remove(StreamState state, Http2ErrorCode? code)
    {
        if (!Streams.TryRemove(state))
        {
            return;
        }

        if (code is not { } reason)
        {
            Streams.OnEnded(state.Id);
        }
        else if (!IsClosed)
        {
            Reset(state.Id, reason);
        }

        Streams.Keep(state);
        role.OnStreamClosed();
    }

    void Reset(int id, Http2ErrorCode code)
    {
        Streams.OnReset(id);
        Output.Reset(id, code);
        ScheduleFlush();
    }

    /// <summary>Ends one stream; whoever uses it is told.</summary>
    /// <returns>The connection's error.</returns>
    public Http2ErrorCode OnStreamError(int id, Http2ErrorCode code)
    {
        if (!Floods.TryReset())
        {
            return Http2ErrorCode.EnhanceYourCalm;
        }

        Reset(id, code);
        if (Streams.Find(id) is { } state)
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
        if (IsIdle(id))
        {
            return Http2ErrorCode.ProtocolError;
        }

        if (Streams.Find(id) is not { } state)
        {
            // It was over before the peer knew.
            return Floods.TryIdleFrame() ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm;
        }

        state.OnReset(isUnprocessed: code == Http2ErrorCode.RefusedStream);
        state.Handler.OnReady();
        return Floods.TryReset() ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm;
    }

    /// <summary>The peer will not look at the streams after this one: whoever uses them is told.</summary>
    public void EndUnprocessed(int lastStream)
    {
        foreach (var state in Streams.All.Where(s => s.Id > lastStream).ToArray())
        {
            state.OnReset(isUnprocessed: true);
            state.Handler.OnReady();
        }

        ScheduleFlush();
    }

    /// <summary>Sends what there is, and lets streams continue that waited for it, each in its turn.</summary>
    public void Flush()
    {
        var hasRoom = Output.Flush();
        if (!Output.IsBroken)
        {
            Flow.Resume(hasRoom);
            return;
        }

        if (Output.IsFlooded && !IsClosed)
        {
            role.OnFlood();
        }

        Fail();
    }

    public Http2ErrorCode OnSettings(ReadOnlySpan<byte> payload)
    {
        var before = peer.InitialWindowSize;
        var error = peer.ApplyAll(payload, fromServer: !IsServer);
        if (error != Http2ErrorCode.NoError)
        {
            return error;
        }

        Heads.SetTableSize(peer.HeaderTableSize);
        if (peer.InitialWindowSize != before && Flow.OnInitialWindow(peer.InitialWindowSize - before) is var wrong and not Http2ErrorCode.NoError)
        {
            return wrong;
        }

        Output.SettingsAck();
        ScheduleFlush();
        return Http2ErrorCode.NoError;
    }

    /// <summary>Tells the peer which of its streams is the last that is served. It may not be a later one afterwards (RFC 9113 section 6.8).</summary>
    public void GoAway(Http2ErrorCode code)
    {
        lastServed = Math.Min(lastServed, IsServer ? LastStream : 0);
        Output.GoAway(lastServed, code);
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

            GoAway(code);
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
        foreach (var state in Streams.All.ToArray())
        {
            state.OnReset(isUnprocessed: false);
            Loop.Call(state.Handler);
        }

        Output.Release();
        role.OnClosed();
    }
}
