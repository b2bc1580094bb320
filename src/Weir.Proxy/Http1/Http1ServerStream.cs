using Weir.Proxy.Http;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Http1;

/// <summary>
/// The requests of one HTTP/1.1 connection, one after the other, for as long as there are some. Borrowed by the connection.
/// </summary>
sealed class Http1ServerStream : ServerStream
{
    static readonly byte[] Http10 = "HTTP/1.0"u8.ToArray();
    static readonly byte[] Http11 = "HTTP/1.1"u8.ToArray();

    readonly Http1Server server;
    readonly EventLoop loop;
    Http1Connection connection = null!;
    TcpSocket socket = null!;
    ReadBuffer input;
    ReadBuffer later;
    RequestReader reader;
    TrailerReader trailers;
    BodyReader body;
    Http1Output output;
    Phase phase;
    bool saysContinue;
    bool isTunnel;
    bool keepsAlive;
    int status;

    enum Phase : byte
    {
        ReadingHead,
        Serving,

        /// <summary>The last answer is sent: what still comes is read over, since closing with unread bytes could take the answer with it (RFC 9112 section 9.6).</summary>
        Lingering,
    }

    public Http1ServerStream(Http1Server server)
    {
        this.server = server;
        loop = server.Loop;
        input = new ReadBuffer(loop.Buffers);
        later = new ReadBuffer(loop.Buffers);
        trailers = new TrailerReader(loop.Buffers);
    }

    public override Span<byte> RequestBytes => input.From(reader.HeadPosition);

    public override Downstream Downstream => connection.Downstream;

    public override ServerLimits Limits => connection.Limits;

    public override byte[] Protocol => Request.IsHttp10 ? Http10 : Request.Method.Length > 0 ? Http11 : [];

    public override bool IsRequestDone => body.IsDone;

    public override bool IsGone => socket.IsBroken;

    public override bool IsHalfClosed => socket.IsPeerDone;

    public override FieldBlock? Trailers => trailers.Fields;

    /// <summary>There is something to read on the connection.</summary>
    public void Begin(Http1Connection served)
    {
        connection = served;
        socket = served.Socket;
        output = new Http1Output(loop, socket);
        phase = Phase.ReadingHead;
        reader = default;
        OnReady();
    }

    public override void OnReady()
    {
        if (connection is null)
        {
            // It was deferred, and has been given back since.
            return;
        }

        switch (phase)
        {
            case Phase.ReadingHead:
                ReadHead();
                break;
            case Phase.Serving:
                Owner?.OnReady();
                break;
            default:
                Linger();
                break;
        }
    }

    void ReadHead()
    {
        switch (reader.Read(ref input, socket, connection.Limits, Request))
        {
            case RequestReader.Result.Complete:
                TimerWheel.Clear(this);
                Serve(Cause.None, null);
                break;
            case RequestReader.Result.Incomplete:
                // However slowly the bytes come, the head must be there in time.
                if (Deadline == long.MaxValue && connection.Limits.HeadMilliseconds > 0)
                {
                    loop.Timers.Set(this, loop.Now + connection.Limits.HeadMilliseconds);
                }

                break;
            case RequestReader.Result.Nothing:
                TimerWheel.Clear(this);
                Leave();
                break;
            case RequestReader.Result.Http2 when connection.AllowsHttp2 && connection.IsFirstRequest:
                HandOver();
                break;
            case RequestReader.Result.End:
                Close();
                break;
            case RequestReader.Result.Http2:
                Refuse(Cause.VersionNotSupported, null);
                break;
            default:
                NoteMethod();
                Refuse(reader.Refusal, reader.RefusalText);
                break;
        }
    }

    void Serve(Cause refusal, byte[]? text)
    {
        connection.CountRequest();
        phase = Phase.Serving;
        Failure = Cause.None;
        body = new BodyReader(Request.Body, Request.ContentLength);
        saysContinue = Request.ExpectsContinue;
        isTunnel = false;
        keepsAlive = Request.KeepAlive;
        output.Reset();
        server.Handler.Begin(this, refusal, text);
    }

    /// <summary>Of a head that is not complete, so that the answer to what may be HEAD has no content.</summary>
    void NoteMethod() => Request.IsHead |= Request.Length == 0 && input.Unread.StartsWith("HEAD "u8);

    /// <summary>What cannot be read cannot be logged either, nor can anything after it be trusted.</summary>
    void Refuse(Cause cause, byte[]? text)
    {
        TimerWheel.Clear(this);
        Request.ResetButMethod();
        Request.KeepAlive = false;
        Serve(cause, text);
    }

    /// <summary>The head, or the client's end after the last answer, has not come in time.</summary>
    public override void OnDue()
    {
        if (phase == Phase.ReadingHead)
        {
            Request.Reset();
            NoteMethod();
            Refuse(Cause.HeadTimeout, null);
        }
        else
        {
            Close();
        }
    }

    void HandOver()
    {
        var sent = input.Unread.ToArray();
        var served = connection;
        Return();
        server.OnHttp2Preface!(served, sent);
    }

    public override ReadStatus Read(out ReadOnlySpan<byte> content)
    {
        content = default;
        while (Failure == Cause.None)
        {
            // Behind the head as long as that has more; then elsewhere, since logs still need the head.
            ref var source = ref later.IsHeld ? ref later : ref input;
            var result = body.Read(source.Unread, out var framing, out var length, ref trailers);
            source.Skip(framing);
            switch (result)
            {
                case ReadStatus.Content:
                    content = source.Unread[..length];
                    return ReadStatus.Content;
                case ReadStatus.End:
                    return ReadStatus.End;
                case ReadStatus.Failed:
                    Failure = Cause.ClientProtocol;
                    return ReadStatus.Failed;
            }

            if (!Fill(out var isWaiting))
            {
                return isWaiting ? ReadStatus.Wait : body.IsDone ? ReadStatus.End : ReadStatus.Failed;
            }
        }

        return ReadStatus.Failed;
    }

    bool Fill(out bool isWaiting)
    {
        isWaiting = false;
        if (saysContinue)
        {
            saysContinue = false;
            output.BeginHead();
            output.Write("HTTP/1.1 100 Continue\r\n"u8);
            output.EndHead(Framing.None, 0);
            output.Flush();
        }

        if (!socket.IsReadable)
        {
            isWaiting = true;
            return false;
        }

        if (!later.IsHeld)
        {
            input.MoveTo(ref later);
        }

        var read = later.Fill(socket, isBulk: body.Left > BufferPool.LargeSize);
        if (read == -Native.Enobufs)
        {
            return later.MakeRoom(BufferPool.BufferSize * 2) || Fail(Cause.ClientProtocol);
        }

        if (read == -Native.Eagain)
        {
            isWaiting = true;
            return false;
        }

        return read > 0 || (!(read == 0 && body.EndOfStream()) && Fail(Cause.ClientGone));
    }

    bool Fail(Cause cause)
    {
        Failure = cause;
        return false;
    }

    public override void Consume(int count)
    {
        (later.IsHeld ? ref later : ref input).Skip(count);
        body.Consume(count);
    }

    public override bool SkipContent()
    {
        saysContinue = false;
        while (true)
        {
            ref var source = ref later.IsHeld ? ref later : ref input;
            var result = body.Read(source.Unread, out var framing, out var length, ref trailers);
            source.Skip(framing + length);
            if (result != ReadStatus.Content)
            {
                return result == ReadStatus.End;
            }

            body.Consume(length);
        }
    }

    public override bool BeginInterim(int status)
    {
        if (Request.IsHttp10)
        {
            return false;
        }

        BeginHead(status, default);
        return true;
    }

    public override void BeginHead(int status, ReadOnlySpan<byte> reason)
    {
        this.status = status;
        output.BeginHead();
        output.Write("HTTP/1.1 "u8);
        output.Write(status);
        output.Write(" "u8);
        output.Write(reason.IsEmpty ? ReasonPhrase.Of(status) : reason);
        output.Write("\r\n"u8);
    }

    public override void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => output.Field(name, value);

    public override bool EndHead(ContentLength length, bool isLast)
    {
        if (status is >= 100 and < 200 and not 101)
        {
            return output.EndHead(Framing.None, 0);
        }

        isTunnel = status == 101 || (Request.IsConnect && status is >= 200 and < 300);
        if (isTunnel)
        {
            if (status == 101)
            {
                output.Write("connection: upgrade\r\n"u8);
            }

            keepsAlive = false;
            body = new BodyReader(BodyKind.UntilClose, 0);
            return output.EndHead(Framing.Close, 0);
        }

        saysContinue = false;
        var framing = WriteLength(length);
        keepsAlive &= !isLast && !connection.IsLast && framing != Framing.Close;
        if (!keepsAlive)
        {
            output.Write("connection: close\r\n"u8);
        }
        else if (Request.IsHttp10)
        {
            output.Write("connection: keep-alive\r\n"u8);
        }

        return output.EndHead(framing, length.Length);
    }

    Framing WriteLength(ContentLength length)
    {
        if (length.Length >= 0 && status != 204)
        {
            output.Write("content-length: "u8);
            output.Write(length.Length);
            output.Write("\r\n"u8);
        }

        if (!length.HasContent)
        {
            return Framing.None;
        }

        if (length.Length >= 0)
        {
            return Framing.Length;
        }

        if (Request.IsHttp10)
        {
            return Framing.Close;
        }

        output.Write("transfer-encoding: chunked\r\n"u8);
        return Framing.Chunked;
    }

    public override int Send(ReadOnlySpan<byte> content) => output.Send(content);

    public override void End(FieldBlock? trailers)
    {
        output.End(trailers);
        if (isTunnel)
        {
            output.Flush();
        }
    }

    public override FlushStatus Flush() => output.Flush();

    public override void Finish()
    {
        if (isTunnel || output.IsBroken || socket.IsBroken)
        {
            Close();
        }
        else if (keepsAlive && body.IsDone && output.IsAtBoundary)
        {
            Continue();
        }
        else if (!Request.KeepAlive && body.IsDone && input.IsEmpty && later.IsEmpty && !socket.IsReadable)
        {
            // The client has said that this request is its last, and nothing speaks against it: closing can take nothing from it.
            Close();
        }
        else
        {
            socket.ShutdownWrite();
            Owner = null;
            phase = Phase.Lingering;
            if (connection.Limits.DelayedCloseMilliseconds > 0)
            {
                lingerReads = 64;
                loop.Timers.Set(this, loop.Now + connection.Limits.DelayedCloseMilliseconds);
                loop.Defer(this);
            }
            else
            {
                Close();
            }
        }
    }

    /// <summary>To the next request: the one that was pipelined, but not before others have had their turn, or the one that may come.</summary>
    void Continue()
    {
        Owner = null;
        trailers.Release();
        if (later.IsHeld)
        {
            input.Release();
            (input, later) = (later, input);
        }

        phase = Phase.ReadingHead;
        reader = default;
        if (!input.IsEmpty || socket.IsReadable)
        {
            loop.Defer(this);
        }
        else
        {
            Leave();
        }
    }

    int lingerReads;

    void Linger()
    {
        input.Release();
        later.Release();
        while (socket.IsReadable)
        {
            var read = later.Fill(socket, isBulk: false);
            later.Skip(Math.Max(read, 0));
            if (read == -Native.Eagain)
            {
                break;
            }

            if (read <= 0 || --lingerReads == 0)
            {
                Close();
                return;
            }
        }

        later.Release();
    }

    public override void Reset(Cause cause)
    {
        var served = connection;
        Return();
        served.Abort();
    }

    public override void Close()
    {
        var served = connection;
        Return();
        served.End();
    }

    public override void Abandon()
    {
        var exchange = Owner;
        Reset(Cause.ClientGone);
        exchange?.Abandon();
    }

    /// <summary>The connection is idle.</summary>
    void Leave()
    {
        var served = connection;
        Return();
        served.Rest();
    }

    void Return()
    {
        Owner = null;
        TimerWheel.Clear(this);
        input.Release();
        later.Release();
        trailers.Release();
        output.Release();
        connection = null!;
        server.Return(this);
    }
}
