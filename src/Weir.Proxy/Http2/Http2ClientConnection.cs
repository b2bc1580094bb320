using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>A connection to an upstream that speaks HTTP/2, with the streams of many exchanges.</summary>
sealed class Http2ClientConnection : LoopHandler, IHttp2Role
{
    /// <summary>How long a peer that seems to be gone has to answer a PING.</summary>
    const int SuspectMilliseconds = 5000;

    const int PatienceMilliseconds = 100;

    const int MaximumStreamId = int.MaxValue - 2;

    const int MaximumSpares = 2048;

    /// <summary>Heads of answers, as on HTTP/1.1 connections.</summary>
    const int MaximumHead = ServerLimits.DefaultHeadBytes;

    readonly EventLoop loop;
    readonly TcpSocket socket;
    readonly Http2ClientOwner owner;
    readonly Http2Session session;
    readonly FrameReader frames;
    readonly HeadReader heads;
    readonly Spares<Http2ClientStream> spares;
    readonly int idleMilliseconds;
    readonly int lastStream;
    int nextStream = 1;
    bool hasSettings;
    bool isGoingAway;
    bool isOver;
    bool isPinging;
    bool isSuspect;

    /// <param name="maximumRequests">0 for no limit.</param>
    public Http2ClientConnection(
        EventLoop loop, TcpSocket socket, Http2ClientOwner owner, Http2Options options, int idleMilliseconds, int settingsMilliseconds, int maximumRequests)
    {
        lastStream = maximumRequests is > 0 and < MaximumStreamId / 2 ? (maximumRequests * 2) - 1 : MaximumStreamId;
        this.loop = loop;
        this.socket = socket;
        this.owner = owner;
        this.idleMilliseconds = idleMilliseconds;
        session = new Http2Session(loop, socket, this, this, options);
        spares = new Spares<Http2ClientStream>(Math.Min(options.MaximumConcurrentStreams, MaximumSpares));
        frames = new FrameReader(session, socket, this);
        heads = new HeadReader(loop.Buffers, MaximumHead, HeaderList.Maximum, options.HpackTableBytes);
        socket.Handler = this;
        session.Output.Preface();
        session.SendPreface(
            (SettingId.EnablePush, 0u), (SettingId.InitialWindowSize, (uint)options.StreamWindowBytes), (SettingId.HeaderTableSize, (uint)options.HpackTableBytes),
            (SettingId.MaxHeaderListSize, (uint)MaximumHead));
        if (settingsMilliseconds > 0)
        {
            loop.Timers.Set(this, loop.Now + settingsMilliseconds);
        }
    }

    public bool IsServer => false;

    public bool IsIdle(int id) => id >= nextStream;

    public void OnSettingsAcknowledged() => heads.OnSettingsAcknowledged();

    public TcpSocket Socket => socket;

    public Http2Session Session => session;

    public HeadReader Heads => heads;

    public int StreamCount => session.StreamCount;

    /// <summary>It has carried a request before.</summary>
    public bool IsReused => nextStream > 3;

    public bool HasServed => nextStream > 1;

    /// <summary>Frames that have come.</summary>
    public long FramesRead => frames.Frames;

    /// <summary>
    /// A request was given up for want of an answer, and nothing at all has come meanwhile: no more are sent until the peer has shown by a
    /// PING that it is there.
    /// </summary>
    /// <param name="since">When the request was sent.</param>
    public void Suspect(long since)
    {
        // A client that goes away at once says nothing of the upstream.
        if (isSuspect || loop.Now - since < PatienceMilliseconds || isOver || session.IsClosed)
        {
            return;
        }

        isSuspect = true;
        Ping();
        loop.Timers.Set(this, loop.Now + SuspectMilliseconds);
        owner.OnUnavailable(this);
    }

    void Ping()
    {
        isPinging = true;
        frames.PingAnswered = false;
        session.Output.Ping("weirping"u8, isAck: false);
        session.ScheduleFlush();
    }

    void OnPingAnswered()
    {
        isSuspect = isPinging = false;
        TimerWheel.Clear(this);
        owner.OnAvailable(this);
    }

    /// <summary>How many streams may be open at a time.</summary>
    public int Slots => (int)Math.Min(session.PeerMaximumStreams, (uint)session.Options.MaximumConcurrentStreams);

    public bool CanOpen => hasSettings && IsUsable && session.StreamCount < Slots;

    /// <summary>No stream can be opened yet, but that may change: another connection would be no better.</summary>
    public bool IsPromising => IsUsable && (!hasSettings || Slots == 0);

    public bool IsUsable => !isSuspect && !isGoingAway && !isOver && !session.IsClosed && nextStream <= lastStream;

    public Http2ClientStream Open()
    {
        var state = session.Open(nextStream);
        nextStream += 2;
        var stream = spares.TryTake() ?? new Http2ClientStream(this);
        stream.Begin(state);
        TimerWheel.Clear(this);
        return stream;
    }

    public void Return(Http2ClientStream stream) => spares.TryPut(stream);

    public override void OnReady()
    {
        if (isOver)
        {
            return;
        }

        var error = frames.Run(out var hasMore);
        if (error != Http2ErrorCode.NoError)
        {
            session.Fail(error);
        }

        OnSettings();
        session.Flush();
        if (isOver)
        {
            return;
        }

        if ((isGoingAway || nextStream > lastStream) && session.StreamCount == 0)
        {
            Close();
            return;
        }

        if (isSuspect && frames.PingAnswered)
        {
            OnPingAnswered();
        }

        if (hasMore)
        {
            loop.Defer(this);
        }

        if (hasSettings && Deadline == long.MaxValue)
        {
            SetTimer();
        }
    }

    /// <summary>The peer has said for the first time how many streams it allows, or allows more than before.</summary>
    void OnSettings()
    {
        if (session.IsClosed || !frames.HasSettings)
        {
            return;
        }

        if (!hasSettings)
        {
            hasSettings = true;
            TimerWheel.Clear(this);
        }

        var before = knownSlots;
        knownSlots = Slots;
        if (knownSlots > before)
        {
            owner.OnAvailable(this);
        }
    }

    int knownSlots;

    void SetTimer()
    {
        var limit = session.StreamCount == 0 ? idleMilliseconds : isPinging ? session.Options.PingTimeoutMilliseconds : session.Options.PingIntervalMilliseconds;
        if (limit > 0)
        {
            loop.Timers.Set(this, loop.Now + limit);
        }
    }

    public override void OnDue()
    {
        if (!hasSettings || (session.StreamCount == 0 && !isPinging) || (isPinging && !frames.PingAnswered))
        {
            // No HTTP/2 is spoken there, nobody needs it, or nobody is there any more.
            session.Fail(Http2ErrorCode.NoError);
            return;
        }

        if (!isPinging && session.Options.PingIntervalMilliseconds > 0)
        {
            Ping();
        }
        else
        {
            isPinging = false;
        }

        SetTimer();
    }

    public Http2ErrorCode OnHead(int id, StreamState? state, ReadOnlySpan<byte> block, bool isEnd)
    {
        if (IsIdle(id))
        {
            return Http2ErrorCode.ProtocolError;
        }

        if (state is null || state.IsReceiveEnded)
        {
            return !heads.Skip(block) ? Http2ErrorCode.CompressionError
                : !session.Floods.TryIdleFrame() ? Http2ErrorCode.EnhanceYourCalm
                : state is null ? Http2ErrorCode.NoError
                : session.OnStreamError(id, Http2ErrorCode.StreamClosed);
        }

        var result = ((Http2ClientStream)state.Handler).OnHead(block, isEnd);
        switch (result)
        {
            case HeadResult.Broken:
                return Http2ErrorCode.CompressionError;
            case HeadResult.Complete:
                state.Handler.OnReady();
                return Http2ErrorCode.NoError;
            default:
                return session.OnStreamError(id, Http2ErrorCode.ProtocolError);
        }
    }

    public void OnGoAway(int lastStream)
    {
        var wasUsable = IsUsable;
        isGoingAway = true;
        if (wasUsable)
        {
            owner.OnUnavailable(this);
        }

        foreach (var state in session.Streams.Where(s => s.Id > lastStream).ToArray())
        {
            state.OnReset(isUnprocessed: true);
            state.Handler.OnReady();
        }

        session.ScheduleFlush();
    }

    public void OnStreamClosed()
    {
        if (isGoingAway || nextStream > lastStream || session.IsClosed)
        {
            session.ScheduleFlush();
        }
        else if (!isOver)
        {
            if (session.StreamCount == 0 && !isSuspect)
            {
                TimerWheel.Clear(this);
                SetTimer();
            }

            owner.OnAvailable(this);
        }
    }

    public void OnFlood() => owner.OnFlood(this);

    public void OnClosed() => Close();

    /// <summary>No more requests; it is closed when those under way are done.</summary>
    public void Retire()
    {
        isGoingAway = true;
        session.ScheduleFlush();
    }

    public void Close()
    {
        if (isOver)
        {
            return;
        }

        isOver = true;
        session.Fail();
        frames.Release();
        loop.Timers.Remove(this);
        owner.OnClosing(this);
        owner.OnUnavailable(this);
        socket.Close();
    }

    public override void Abandon() => Close();
}
