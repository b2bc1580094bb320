using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>A connection to an upstream that speaks HTTP/1.1, and the one request under way on it. Kept between requests.</summary>
sealed class Http1ClientStream(EventLoop loop, TcpSocket socket, Http1ClientOwner owner) : ClientStream
{
    ResponseInput input = new(loop.Buffers);
    Http1Output output = new(loop, socket);
    int requests;
    int idleMilliseconds;
    bool isHead;
    bool isConnect;
    bool isUpgrade;
    bool isTunnel;
    bool keepsAlive;
    bool isIdle;
    bool isClosed;

    /// <summary>Of its pool's idle ones, those used before and after it.</summary>
    public Http1ClientStream? NextIdle;
    public Http1ClientStream? PreviousIdle;

    public TcpSocket Socket => socket;

    public int Requests => requests;

    public Http1ClientOwner Link => owner;

    public override bool IsReused => requests > 1;

    public override SocketAddressV4 LocalAddress => socket.LocalAddress;

    public override FieldBlock? Trailers => input.Trailers;

    public override ReadOnlySpan<byte> HeadBytes => input.HeadBytes;

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
        input.Expect();
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
        var status = input.ReadHead(socket, head, isHead, out var failure);
        if (status == HeadStatus.Final)
        {
            return OnHead(head);
        }

        Failure = failure;
        return status;
    }

    HeadStatus OnHead(MessageHead head)
    {
        if (head.Status == 101 && (!isUpgrade || isConnect))
        {
            Failure = Cause.UpstreamProtocol;
            return HeadStatus.Failed;
        }

        isTunnel = head.Status == 101 || (isConnect && head.Status < 300);
        if (isTunnel)
        {
            head.Body = BodyKind.UntilClose;
            output.EndHeadOfTunnel();
        }

        keepsAlive = head.KeepAlive && !isTunnel && head.Body != BodyKind.UntilClose;
        input.BeginContent(head);
        return HeadStatus.Final;
    }

    public override ReadStatus Read(out ReadOnlySpan<byte> content)
    {
        if (Failure != Cause.None)
        {
            content = default;
            return ReadStatus.Failed;
        }

        var result = input.Read(socket, out content, out var failure);
        Failure = failure;
        return result;
    }

    public override void Consume(int count) => input.Consume(count);

    public override void Release()
    {
        Owner = null;
        var isReusable = Failure == Cause.None && keepsAlive && input.IsAtBoundary && output.IsAtBoundary && !socket.IsStale;
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
        output.Release();
        owner.OnClosing(this);
        socket.Close();
    }

    public override void Abandon()
    {
        var exchange = Owner;
        Owner = null;
        keepsAlive = false;
        Close();
        exchange?.Abandon();
    }
}
