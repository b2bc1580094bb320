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
    readonly HeadReader heads;
    readonly bool allowsConnect;
    ServerDeadlines deadlines;

    /// <summary>From when a client knows that its connection ends until it may open no more streams.</summary>
    const int FarewellMilliseconds = 500;

    /// <summary>The same for a client that does not say that it knows.</summary>
    const int UnansweredFarewellMilliseconds = 2000;
    Lifetime? lifetime;
    long requests;
    bool hasBegun;
    bool isGoingAway;
    bool isFarewellKnown;
    bool isClosing;
    bool isLingering;
    bool isOver;

    public Http2ServerConnection(
        Http2Server server, TcpSocket socket, Downstream downstream, ServerLimits limits, Http2Options options, bool allowsConnect, object servedBy)
        : base(servedBy)
    {
        this.server = server;
        this.socket = socket;
        this.allowsConnect = allowsConnect;
        Downstream = downstream;
        Limits = limits;
        deadlines = new ServerDeadlines(limits);
        session = new Http2Session(server.Loop, socket, this, this, options);
        frames = new FrameReader(session, socket, this);
        heads = new HeadReader(server.Loop.Buffers, limits.MaximumHeadBytes, limits.MaximumHeaders, options.HpackTableBytes);
    }

    public Downstream Downstream { get; }

    public ServerLimits Limits { get; }

    public bool IsServer => true;

    public bool IsIdle(int id) => id > session.LastPeerStream;

    public void OnSettingsAcknowledged() => heads.OnSettingsAcknowledged();

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
            server.Loop.Timers.Set(lifetime = new Lifetime(this), server.Loop.Now + Limits.MaximumConnectionMilliseconds);
        }

        var options = session.Options;
        session.SendPreface(
            (SettingId.MaxConcurrentStreams, (uint)options.MaximumConcurrentStreams),
            (SettingId.InitialWindowSize, (uint)options.StreamWindowBytes),
            (SettingId.HeaderTableSize, (uint)options.HpackTableBytes),
            (SettingId.MaxHeaderListSize, (uint)Limits.MaximumHeadBytes),
            (SettingId.EnableConnectProtocol, allowsConnect ? 1u : 0u));
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
            Linger();
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

        if (isGoingAway && !isClosing && frames.PingAnswered && !isFarewellKnown)
        {
            // The client knows by now; what it had begun to open may still be on its way out of it. Once: to answer again puts off nothing.
            isFarewellKnown = true;
            server.Loop.Timers.Set(lifetime!, server.Loop.Now + FarewellMilliseconds);
        }

        if (isClosing && session.StreamCount == 0 && session.Output.Pending == 0)
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
        var isServing = session.StreamCount > 0;
        if (deadlines.Change(server.Loop.Now, hasBegun, isServing, session.Output.Pending, frames.IsInFrame, frames.Frames))
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
            session.Fail(session.StreamCount == 0 ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm);
        }
    }

    public Http2ErrorCode OnHead(int id, StreamState? state, ReadOnlySpan<byte> block, bool isEnd)
    {
        hasBegun = true;
        if (state is not null)
        {
            return OnTrailers(state, block, isEnd);
        }

        if (id <= session.LastPeerStream)
        {
            return OnLateHead(id, block);
        }

        session.LastPeerStream = id;
        if (isClosing || session.IsFull)
        {
            if (!heads.Skip(block))
            {
                return Http2ErrorCode.CompressionError;
            }

            return session.OnStreamError(id, Http2ErrorCode.RefusedStream);
        }

        var stream = server.Rent();
        var opened = session.Open(id);
        stream.Begin(this, opened);
        var result = heads.ReadRequest(block, stream.Request, opened.Head, isEnd, allowsConnect);
        switch (result)
        {
            case HeadResult.Broken:
                stream.Close();
                return Http2ErrorCode.CompressionError;
            case HeadResult.Malformed:
                stream.BecomeMalformed();
                server.Handler.Begin(stream, Cause.ClientProtocol, null);
                return session.Floods.TryReset() ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm;
            case HeadResult.TooLarge:
                stream.Request.Reset();
                break;
        }

        Serve(stream, opened, isEnd, result == HeadResult.TooLarge ? Cause.RequestHeadTooLarge : Cause.None);
        return Http2ErrorCode.NoError;
    }

    /// <summary>On a stream that is over, or that the client has passed by (RFC 9113 sections 5.1 and 5.1.1).</summary>
    Http2ErrorCode OnLateHead(int id, ReadOnlySpan<byte> block) =>
        !heads.Skip(block) ? Http2ErrorCode.CompressionError
        : !session.Floods.TryIdleFrame() ? Http2ErrorCode.EnhanceYourCalm
        : session.WasReset(id) ? Http2ErrorCode.NoError
        : session.HasEnded(id) ? Http2ErrorCode.StreamClosed
        : Http2ErrorCode.ProtocolError;

    void Serve(Http2ServerStream stream, StreamState opened, bool isEnd, Cause refusal)
    {
        opened.HasHead = true;
        opened.Declared = stream.Request.IsConnect || stream.Request.IsExtendedConnect ? -1 : stream.Request.ContentLength;
        if (isEnd)
        {
            opened.OnEnd();
        }

        if (++requests == Limits.MaximumRequestsPerConnection)
        {
            Drain();
        }

        server.Handler.Begin(stream, refusal, null);
    }

    Http2ErrorCode OnTrailers(StreamState state, ReadOnlySpan<byte> block, bool isEnd)
    {
        if (state.IsReceiveEnded)
        {
            return heads.Skip(block) ? session.OnStreamError(state.Id, Http2ErrorCode.StreamClosed) : Http2ErrorCode.CompressionError;
        }

        var result = heads.ReadTrailers(block, state.Trailers);
        if (result == HeadResult.Broken)
        {
            return Http2ErrorCode.CompressionError;
        }

        var error = result != HeadResult.Complete || !isEnd ? Http2ErrorCode.ProtocolError : state.OnEnd();
        if (error != Http2ErrorCode.NoError)
        {
            return session.OnStreamError(state.Id, error);
        }

        state.HasTrailers = true;
        state.Handler.OnReady();
        return Http2ErrorCode.NoError;
    }

    public void OnGoAway(int lastStream)
    {
        // A client that goes away opens no more streams; those that are open are answered.
    }

    public void OnFlood() => server.OnFlood(Downstream.Peer);

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

    void Linger()
    {
        Span<byte> scratch = stackalloc byte[4096];
        for (var i = 0; i < 16 && socket.IsReadable; i++)
        {
            if (socket.Receive(scratch) is var read && (read == 0 || (read < 0 && read != -Native.Eagain)))
            {
                End();
                return;
            }
        }
    }

    public override void Drain()
    {
        if (!isGoingAway && !session.IsClosed)
        {
            // The streams that the client opens before it has read this are still served.
            isGoingAway = true;
            lifetime ??= new Lifetime(this);
            session.Output.GoAway(int.MaxValue, Http2ErrorCode.NoError);
            frames.PingAnswered = false;
            session.Output.Ping("weirdone"u8, isAck: false);
            server.Loop.Timers.Set(lifetime, server.Loop.Now + UnansweredFarewellMilliseconds);
            session.ScheduleFlush();
        }
    }

    void RefuseMore()
    {
        isClosing = true;
        if (session.IsClosed)
        {
            return;
        }

        session.Output.GoAway(session.LastPeerStream, Http2ErrorCode.NoError);
        session.ScheduleFlush();
    }

    public override void Retire() => Drain();

    public override bool CloseIdle(bool evenUsed)
    {
        if (isOver || isLingering || (requests > 0 && !evenUsed))
        {
            return false;
        }

        var isIdle = session.StreamCount == 0;
        if (!isClosing && (isIdle || server.Connections.IsDraining))
        {
            RefuseMore();
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
        if (lifetime is not null)
        {
            server.Loop.Timers.Remove(lifetime);
        }

        socket.Close();
        server.Connections.Remove(this);
    }

    public override void Cut()
    {
        session.Fail(Http2ErrorCode.NoError);
        End();
    }

    public override void Abandon() => End();

    /// <summary>Ends the connection when it has been open for as long as it may be, or a while after its client was told that it ends.</summary>
    sealed class Lifetime(Http2ServerConnection connection) : TimerEntry
    {
        public override void OnDue()
        {
            if (!connection.isGoingAway)
            {
                connection.Drain();
            }
            else if (!connection.isClosing && !connection.isOver)
            {
                connection.RefuseMore();
            }
        }
    }
}
