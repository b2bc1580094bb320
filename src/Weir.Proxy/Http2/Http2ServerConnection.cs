using Weir.Proxy.Http;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Http2;

/// <summary>A client's connection that speaks HTTP/2.</summary>
sealed class Http2ServerConnection : Connection, IHttp2Role
{
    readonly Http2Server server;
    readonly TcpSocket socket;
    readonly Http2Session session;
    readonly FrameReader frames;
    readonly RequestStreams requests;
    readonly Farewell farewell;
    ServerDeadlines deadlines;
    bool isLingering;
    bool isOver;

    public Http2ServerConnection(
        Http2Server server, TcpSocket socket, Downstream downstream, ServerLimits limits, Http2Options options, bool allowsConnect, object servedBy)
        : base(servedBy)
    {
        this.server = server;
        this.socket = socket;
        deadlines = new ServerDeadlines(limits);
        session = new Http2Session(server.Loop, socket, this, this, options, isServer: true);
        farewell = new Farewell(session);
        requests = new RequestStreams(server, session, farewell, downstream, limits, allowsConnect);
        frames = new FrameReader(session, socket, this, requests);
    }

    ServerLimits Limits => requests.Limits;

    public override void Begin() => Begin([]);

    /// <param name="read">What the client has sent so far.</param>
    public void Begin(ReadOnlySpan<byte> read)
    {
        socket.Handler = this;
        frames.ExpectPreface();
        if (!read.IsEmpty)
        {
            frames.Push(read);
        }

        if (Limits.MaximumConnectionMilliseconds > 0)
        {
            farewell.BeginIn(Limits.MaximumConnectionMilliseconds);
        }

        var options = session.Options;
        session.SendPreface(
            (SettingId.MaxConcurrentStreams, (uint)options.MaximumConcurrentStreams),
            (SettingId.InitialWindowSize, (uint)options.StreamWindowBytes),
            (SettingId.HeaderTableSize, (uint)options.HpackTableBytes),
            (SettingId.MaxHeaderListSize, (uint)Limits.MaximumHeadBytes),
            (SettingId.EnableConnectProtocol, requests.AllowsConnect ? 1u : 0u));
        OnReady();
    }

    public override void OnReady()
    {
        if (isOver)
        {
            return;
        }

        if (isLingering)
        {
            if (!Leftovers.ReadOver(socket, server.Loop, this))
            {
                End();
            }

            return;
        }

        var error = frames.Run(out var hasMore);
        if (error != Http2ErrorCode.NoError)
        {
            session.Fail(error);
        }

        session.Flush();
        if (isOver || isLingering)
        {
            return;
        }

        if (farewell.IsFinal && session.Streams.Count == 0 && session.Output.Pending == 0)
        {
            session.Fail();
            return;
        }

        if (hasMore)
        {
            server.Loop.Defer(this);
        }

        SetTimer();
    }

    void SetTimer()
    {
        var isServing = session.Streams.Count > 0;
        if (deadlines.Change(server.Loop.Now, requests.HasBegun, isServing, session.Output.Pending, frames.IsInFrame, frames.Frames))
        {
            TimerWheel.Clear(this);
            if (deadlines.Next < long.MaxValue)
            {
                server.Loop.Timers.Set(this, deadlines.Next);
            }
        }
    }

    public override void OnDue()
    {
        if (isLingering)
        {
            End();
        }
        else if (!deadlines.IsDue(server.Loop.Now))
        {
            SetTimer();
        }
        else
        {
            session.Fail(session.Streams.Count == 0 ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm);
        }
    }

    public void OnPingAnswered() => farewell.OnPingAnswered();

    public void OnGoAway(int lastStream)
    {
        // A client that goes away opens no more streams; those that are open are answered.
    }

    public void OnFlood() => server.OnFlood(requests.Downstream.Peer);

    public void OnStreamClosed() => session.ScheduleFlush();

    /// <summary>The peer may still have to read why.</summary>
    public void OnClosed()
    {
        frames.Release();
        if (socket.IsBroken || socket.IsPeerDone || Limits.DelayedCloseMilliseconds == 0)
        {
            End();
            return;
        }

        isLingering = true;
        socket.ShutdownWrite();
        server.Loop.Timers.Set(this, server.Loop.Now + Limits.DelayedCloseMilliseconds);
    }

    public override void Drain() => farewell.Begin();

    public override void Retire() => farewell.Begin();

    public override bool CloseIdle(bool evenUsed)
    {
        if (isOver || isLingering || (requests.Count > 0 && !evenUsed))
        {
            return false;
        }

        var isIdle = session.Streams.Count == 0;
        if (isIdle || server.Connections.IsDraining)
        {
            farewell.Conclude();
        }

        return isIdle;
    }

    void End()
    {
        if (isOver)
        {
            return;
        }

        isOver = true;
        session.Fail();
        frames.Release();
        server.Loop.Timers.Remove(this);
        farewell.Cancel();
        socket.Close();
        server.Connections.Remove(this);
    }

    public override void Cut()
    {
        session.Fail(Http2ErrorCode.NoError);
        End();
    }

    public override void Abandon() => End();
}
