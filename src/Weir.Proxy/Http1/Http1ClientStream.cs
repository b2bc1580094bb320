using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>Whose connections to upstreams are.</summary>
abstract class Http1ClientOwner
{
    /// <summary>The stream can carry another request.</summary>
    /// <returns>False when it is not wanted: it is closed then.</returns>
    public abstract bool TryKeep(Http1ClientStream stream);

    /// <summary>It is about to be closed; its socket is still open.</summary>
    public abstract void OnClosing(Http1ClientStream stream);
}

/// <summary>A connection to an upstream that speaks HTTP/1.1, and the one request under way on it. Kept between requests.</summary>
sealed class Http1ClientStream(EventLoop loop, TcpSocket socket, Http1ClientOwner owner) : ClientStream
{
    ReadBuffer input = new(loop.Buffers);
    TrailerReader trailers = new(loop.Buffers);
    Http1Output output = new(loop, socket);
    BodyReader body;
    int searched;
    int headPosition;
    int requests;
    int idleMilliseconds;
    bool isHead;
    bool isConnect;
    bool isUpgrade;
    bool isTunnel;
    bool keepsAlive;
    bool isIdle;

    /// <summary>Of its pool's idle ones, those used before and after it.</summary>
    public Http1ClientStream? NextIdle;
    public Http1ClientStream? PreviousIdle;

    public TcpSocket Socket => socket;

    public int Requests => requests;

    public Http1ClientOwner Link => owner;

    public override bool IsReused => requests > 1;

    public override SocketAddressV4 LocalAddress => socket.LocalAddress;

    public override FieldBlock? Trailers => trailers.Fields;

    public override ReadOnlySpan<byte> HeadBytes => input.From(headPosition);

    /// <summary>Whether it can carry another request; it is closed if not.</summary>
    public bool TryTake()
    {
        isIdle = false;
        TimerWheel.Clear(this);
        if (socket.IsStale)
        {
            Close();
            return false;
        }

        return true;
    }

    public override void OnReady()
    {
        if (!isIdle)
        {
            Owner?.OnReady();
        }
        else if (socket.IsStale || socket.IsBroken)
        {
            // The peer has closed it, or says what nobody asked for. That it has read what it was sent last is no reason.
            Close();
        }
    }

    /// <summary>It was idle for too long.</summary>
    public override void OnDue()
    {
        if (isIdle)
        {
            Close();
        }
    }

    public override void BeginHead(ReadOnlySpan<byte> method, ReadOnlySpan<byte> authority, ReadOnlySpan<byte> path, ReadOnlySpan<byte> upgrade)
    {
        requests++;
        socket.Handler = this;
        Failure = Cause.None;
        isHead = method.SequenceEqual("HEAD"u8);
        isConnect = method.SequenceEqual("CONNECT"u8);
        isUpgrade = !upgrade.IsEmpty;
        isTunnel = false;
        body = new BodyReader(BodyKind.UntilClose, 0);
        output.Reset();
        output.BeginHead();
        output.Write(method);
        output.Write(" "u8);
        output.Write(path);
        output.Write(" HTTP/1.1\r\nhost: "u8);
        output.Write(authority);
        output.Write("\r\n"u8);
        if (isUpgrade)
        {
            output.Write("connection: upgrade\r\n"u8);
            output.Field("upgrade"u8, upgrade);
        }
    }

    public override void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => output.Field(name, value);

    public override bool EndHead(ContentLength length)
    {
        if (length.Length >= 0)
        {
            output.Write("content-length: "u8);
            output.Write(length.Length);
            output.Write("\r\n"u8);
        }
        else if (length.HasContent)
        {
            output.Write("transfer-encoding: chunked\r\n"u8);
        }

        return output.EndHead(!length.HasContent ? Framing.None : length.Length >= 0 ? Framing.Length : Framing.Chunked, length.Length);
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

    public override HeadStatus ReadHead(MessageHead head)
    {
        while (true)
        {
            if (!input.IsEmpty && HeadParser.FindEnd(input.Unread, searched) is > 0 and var length)
            {
                searched = 0;
                headPosition = input.Position;
                return Parse(head, length);
            }

            searched = input.Unread.Length;
            var read = socket.IsReadable ? input.Fill(socket, isBulk: false) : -Native.Eagain;
            switch (read)
            {
                case > 0:
                    break;
                case -Native.Enobufs:
                    if (!input.MakeRoom(ServerLimits.DefaultHeadBytes))
                    {
                        return Fail(Cause.UpstreamHeadTooLarge);
                    }

                    break;
                case -Native.Eagain:
                    if (input.IsEmpty)
                    {
                        input.Release();
                    }

                    return HeadStatus.Wait;
                default:
                    return Fail(hasInterim || !input.IsEmpty ? Cause.UpstreamProtocol : Cause.Reset);
            }
        }
    }

    bool hasInterim;

    HeadStatus Parse(MessageHead head, int length)
    {
        if (HeadParser.ParseResponse(input.Unread, length, head, isHead) != ParseError.None || (head.Status == 101 && (!isUpgrade || isConnect)))
        {
            return Fail(Cause.UpstreamProtocol);
        }

        input.Skip(length);
        if (head.Status < 200 && head.Status != 101)
        {
            hasInterim = true;
            return HeadStatus.Interim;
        }

        hasInterim = false;
        isTunnel = head.Status == 101 || (isConnect && head.Status < 300);
        if (isTunnel)
        {
            head.Body = BodyKind.UntilClose;
            output.EndHeadOfTunnel();
        }

        keepsAlive = head.KeepAlive && !isTunnel && head.Body != BodyKind.UntilClose;
        isBulk = head.Body != BodyKind.Length || head.ContentLength > BufferPool.LargeSize;
        body = new BodyReader(head.Body, head.ContentLength);
        return HeadStatus.Final;
    }

    bool isBulk;

    HeadStatus Fail(Cause cause)
    {
        Failure = cause;
        return HeadStatus.Failed;
    }

    public override ReadStatus Read(out ReadOnlySpan<byte> content)
    {
        content = default;
        while (Failure == Cause.None)
        {
            var result = body.Read(input.Unread, out var framing, out var length, ref trailers);
            input.Skip(framing);
            switch (result)
            {
                case ReadStatus.Content:
                    content = input.Unread[..length];
                    return ReadStatus.Content;
                case ReadStatus.End:
                    return ReadStatus.End;
                case ReadStatus.Failed:
                    Failure = Cause.UpstreamProtocol;
                    return ReadStatus.Failed;
            }

            var read = socket.IsReadable ? input.Fill(socket, isBulk) : -Native.Eagain;
            switch (read)
            {
                case > 0:
                    break;
                case -Native.Enobufs:
                    if (!input.MakeRoom(BufferPool.BufferSize * 2))
                    {
                        Failure = Cause.UpstreamProtocol;
                    }

                    break;
                case -Native.Eagain:
                    return ReadStatus.Wait;
                default:
                    // The end of the connection is the end of the content only where nothing else marks it.
                    if (read == 0 && body.EndOfStream())
                    {
                        return ReadStatus.End;
                    }

                    Failure = Cause.Reset;
                    break;
            }
        }

        return ReadStatus.Failed;
    }

    public override void Consume(int count)
    {
        input.Skip(count);
        body.Consume(count);
    }

    public override void Release()
    {
        Owner = null;
        var isReusable = Failure == Cause.None && keepsAlive && body.IsDone && input.IsEmpty && output.IsAtBoundary && !socket.IsStale;
        keepsAlive = false;
        if (!isReusable)
        {
            Close();
            return;
        }

        Keep();
    }

    /// <summary>Nobody uses it: it is kept, or closed.</summary>
    public void Keep()
    {
        input.Release();
        trailers.Release();
        socket.Handler = this;
        isIdle = true;
        if (!owner.TryKeep(this))
        {
            Close();
        }
        else if (idleMilliseconds > 0)
        {
            loop.Timers.Set(this, loop.Now + idleMilliseconds);
        }
    }

    /// <summary>How long it is kept unused; 0 for ever.</summary>
    public int IdleMilliseconds
    {
        set => idleMilliseconds = value;
    }

    public void Close()
    {
        if (!socket.IsOpen && isClosed)
        {
            return;
        }

        isClosed = true;
        isIdle = false;
        loop.Timers.Remove(this);
        input.Release();
        trailers.Release();
        output.Release();
        owner.OnClosing(this);
        socket.Close();
    }

    bool isClosed;

    public override void Abandon()
    {
        var exchange = Owner;
        Owner = null;
        keepsAlive = false;
        Close();
        exchange?.Abandon();
    }
}
