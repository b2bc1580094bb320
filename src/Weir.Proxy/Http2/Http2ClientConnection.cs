using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>A connection to an upstream that speaks HTTP/2, with the streams of many exchanges.</summary>
sealed class Http2ClientConnection : LoopHandler, IHttp2Role
{
    const int MaximumStreamId = int.MaxValue - 2;
    const int MaximumSpares = 2048;

    readonly EventLoop loop;
    readonly TcpSocket socket;
    readonly Http2ClientOwner owner;
    readonly Http2Session session;
    readonly FrameReader frames;
    readonly Spares<Http2ClientStream> spares;
    readonly int maximumStream;
    ClientDeadlines deadlines;
    int knownSlots;
    bool isGoingAway;
    bool isOver;

    /// <param name="maximumRequests">0 for no limit.</param>
    public Http2ClientConnection(
        EventLoop loop, TcpSocket socket, Http2ClientOwner owner, Http2Options options, int idleMilliseconds, int settingsMilliseconds, int maximumRequests)
    {
        this.loop = loop;
        this.socket = socket;
        this.owner = owner;
        maximumStream = maximumRequests is > 0 and < MaximumStreamId / 2 ? (maximumRequests * 2) - 1 : MaximumStreamId;
        session = new Http2Session(loop, socket, this, this, options, isServer: false);
        spares = new Spares<Http2ClientStream>(Math.Min(options.MaximumConcurrentStreams, MaximumSpares));
        frames = new FrameReader(session, socket, this, new ResponseHeads(session));
        deadlines = new ClientDeadlines(options, idleMilliseconds);
        socket.Handler = this;
        session.Output.Preface();
        session.SendPreface(
            (SettingId.EnablePush, 0u), (SettingId.InitialWindowSize, (uint)options.StreamWindowBytes), (SettingId.HeaderTableSize, (uint)options.HpackTableBytes),
            (SettingId.MaxHeaderListSize, (uint)ResponseHeads.MaximumBytes));
        deadlines.ExpectSettings(loop.Now, settingsMilliseconds);
        SetTimer();
    }

    public TcpSocket Socket => socket;

    public Http2Session Session => session;

    public int StreamCount => session.Streams.Count;

    /// <summary>It has carried a request before the one that was opened last.</summary>
    public bool IsReused => session.LastStream > 1;

    public bool HasServed => session.LastStream > 0;

    public long FramesRead => frames.Frames;

    /// <summary>How many streams may be open at a time.</summary>
    public int Slots => (int)Math.Min(session.Peer.MaxConcurrentStreams, (uint)session.Options.MaximumConcurrentStreams);

    public bool CanOpen => frames.HasSettings && IsUsable && StreamCount < Slots && !IsBehind;

    /// <summary>It reads slowly: heads have no window, so who has one to send waits.</summary>
    bool IsBehind => session.Output.Pending >= Http2Output.HighWater;

    /// <summary>No stream can be opened yet, but that may change: another connection would be no better.</summary>
    public bool IsPromising => IsUsable && (!frames.HasSettings || Slots == 0 || IsBehind);

    public bool IsUsable => !deadlines.IsSuspect && !IsLast && !session.IsClosed;

    /// <summary>No more streams will be opened, ever.</summary>
    bool IsLast => isGoingAway || session.LastStream >= maximumStream;

    public Http2ClientStream Open()
    {
        // Clients open odd ones (RFC 9113 section 5.1.1).
        var state = session.Open((session.LastStream + 1) | 1);
        var stream = spares.TryTake() ?? new Http2ClientStream(this);
        stream.Begin(state);
        deadlines.OnOpened(loop.Now);
        SetTimer();
        return stream;
    }

    public void Return(Http2ClientStream stream) => spares.TryPut(stream);

    /// <summary>
    /// A request was given up for want of an answer, and nothing at all has come meanwhile: no more are sent until the peer has shown by a
    /// PING that it is there.
    /// </summary>
    /// <param name="since">When the request was sent.</param>
    public void Suspect(long since)
    {
        if (!session.IsClosed && deadlines.TrySuspect(loop.Now, since))
        {
            Ping();
            owner.OnUnavailable(this);
        }
    }

    void Ping()
    {
        session.Output.Ping("weirping"u8, isAck: false);
        session.ScheduleFlush();
        SetTimer();
    }

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

        FindSlots();
        var wasBehind = IsBehind;
        session.Flush();
        if (wasBehind && !IsBehind && IsUsable)
        {
            owner.OnAvailable(this);
        }

        if (IsLast && StreamCount == 0)
        {
            Close();
        }
        else if (hasMore && !isOver)
        {
            loop.Defer(this);
        }
    }

    /// <summary>The peer has said for the first time how many streams it allows, or allows more than before.</summary>
    void FindSlots()
    {
        if (session.IsClosed || !frames.HasSettings)
        {
            return;
        }

        deadlines.OnSettings(loop.Now);
        SetTimer();
        var before = knownSlots;
        knownSlots = Slots;
        if (knownSlots > before)
        {
            owner.OnAvailable(this);
        }
    }

    void SetTimer()
    {
        if (deadlines.Due == long.MaxValue || session.IsClosed)
        {
            TimerWheel.Clear(this);
        }
        else if (deadlines.Due != Deadline)
        {
            loop.Timers.Set(this, deadlines.Due);
        }
    }

    public override void OnDue()
    {
        if (deadlines.TryPing(loop.Now))
        {
            Ping();
        }
        else
        {
            // No HTTP/2 is spoken there, nobody needs it, or nobody is there any more.
            session.Fail(Http2ErrorCode.NoError);
        }
    }

    public void OnPingAnswered()
    {
        var wasSuspect = deadlines.IsSuspect;
        deadlines.OnAnswer(loop.Now, isServing: StreamCount > 0);
        SetTimer();
        if (wasSuspect)
        {
            owner.OnAvailable(this);
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

        session.EndUnprocessed(lastStream);
    }

    public void OnStreamClosed()
    {
        if (IsLast || session.IsClosed)
        {
            session.ScheduleFlush();
            return;
        }

        if (StreamCount == 0)
        {
            deadlines.OnUnused(loop.Now);
            SetTimer();
        }

        owner.OnAvailable(this);
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
