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
    RequestInput input;
    ResponseOutput output;
    bool isServing;

    public Http1ServerStream(Http1Server server)
    {
        this.server = server;
        loop = server.Loop;
        input = new RequestInput(loop.Buffers);
    }

    public override Span<byte> RequestBytes => input.HeadBytes;

    public override Downstream Downstream => connection.Downstream;

    public override ServerLimits Limits => connection.Limits;

    public override byte[] Protocol => Request.IsHttp10 ? Http10 : Request.Method.Length > 0 ? Http11 : [];

    public override bool IsRequestDone => input.IsContentDone;

    public override bool IsGone => socket.IsBroken;

    public override bool IsHalfClosed => socket.IsPeerDone;

    public override FieldBlock? Trailers => input.Trailers;

    /// <summary>There is something to read on the connection.</summary>
    public void Begin(Http1Connection served)
    {
        connection = served;
        socket = served.Socket;
        output = new ResponseOutput(loop, socket, Request);
        isServing = false;
        OnReady();
    }

    public override void OnReady()
    {
        if (connection is null)
        {
            // It was deferred, and has been given back since.
            return;
        }

        if (isServing)
        {
            Owner?.OnReady();
        }
        else
        {
            ReadHead();
        }
    }

    void ReadHead()
    {
        switch (input.ReadHead(socket, connection.Limits, Request))
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
                Return().Rest();
                break;
            case RequestReader.Result.Http2 when connection.AllowsHttp2 && connection.IsFirstRequest:
                var sent = input.Unread.ToArray();
                Return().HandOver(sent);
                break;
            case RequestReader.Result.End:
                Close();
                break;
            case RequestReader.Result.Http2:
                Refuse(Cause.VersionNotSupported, null);
                break;
            default:
                NoteMethod();
                Refuse(input.Refusal, input.RefusalText);
                break;
        }
    }

    void Serve(Cause refusal, byte[]? text)
    {
        connection.CountRequest();
        isServing = true;
        Failure = Cause.None;
        input.BeginContent(Request.Body, Request.ContentLength);
        output.Begin();
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

    /// <summary>The head has not come in time.</summary>
    public override void OnDue()
    {
        Request.Reset();
        NoteMethod();
        Refuse(Cause.HeadTimeout, null);
    }

    public override ReadStatus Read(out ReadOnlySpan<byte> content)
    {
        content = default;
        if (Failure == Cause.None)
        {
            var result = input.Read(socket, ref output, out content, out var failure);
            Failure = failure;
            return result;
        }

        return ReadStatus.Failed;
    }

    public override void Consume(int count) => input.Consume(count);

    public override bool SkipContent()
    {
        output.DoNotContinue();
        return input.SkipContent();
    }

    public override bool BeginInterim(int status) => output.BeginInterim(status);

    public override void BeginHead(int status, ReadOnlySpan<byte> reason) => output.BeginHead(status, reason);

    public override void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => output.Field(name, value);

    public override bool EndHead(ContentLength length, bool isLast)
    {
        var fits = output.EndHead(length, isLast || connection.IsLast);
        if (output.IsTunnel)
        {
            input.BeginContent(BodyKind.UntilClose, 0);
        }

        return fits;
    }

    public override int Send(ReadOnlySpan<byte> content) => output.Send(content);

    public override void End(FieldBlock? trailers) => output.End(trailers);

    public override FlushStatus Flush() => output.Flush();

    public override void Finish()
    {
        if (output.IsTunnel || output.IsBroken || socket.IsBroken)
        {
            Close();
        }
        else if (input.IsContentDone && output.CanContinue)
        {
            Continue();
        }
        else if (!Request.KeepAlive && input.IsContentDone && input.IsEmpty && !socket.IsReadable)
        {
            // The client has said that this request is its last: closing can take nothing from it.
            Close();
        }
        else
        {
            Return().Linger();
        }
    }

    /// <summary>To the next request: the one that was pipelined, but not before others have had their turn, or the one that may come.</summary>
    void Continue()
    {
        Owner = null;
        isServing = false;
        if (input.Continue() || socket.IsReadable)
        {
            loop.Defer(this);
        }
        else
        {
            Return().Rest();
        }
    }

    public override void Reset(Cause cause) => Return().Abort();

    public override void Close() => Return().End();

    public override void Abandon()
    {
        // What serves it writes of it what there is to write, and resets it: it is given back once.
        if (Owner is { } exchange)
        {
            exchange.Abandon();
        }
        else
        {
            Reset(Cause.ClientGone);
        }
    }

    /// <summary>Lets go of everything but the connection, which goes on by itself.</summary>
    Http1Connection Return()
    {
        Owner = null;
        TimerWheel.Clear(this);
        input.Release();
        output.Release();
        var served = connection;
        connection = null!;
        server.Return(this);
        return served;
    }
}
