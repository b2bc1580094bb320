using Weir.Proxy.Http;
using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>
/// Bytes both ways on a socket, without messages: either side of a TCP session, and the endpoint of a CONNECT that ends at this proxy,
/// whose "answer" is that it is connected.
/// </summary>
sealed class RawStream(EventLoop loop, TcpSocket socket, Action<TcpSocket>? onClosing) : ClientStream
{
    ReadBuffer input = new(loop.Buffers);
    bool isEnded;
    bool isBroken;

    public TcpSocket Socket => socket;

    public override bool IsReused => false;

    public override SocketAddressV4 LocalAddress => socket.LocalAddress;

    public override ReadOnlySpan<byte> HeadBytes => default;

    public override void OnReady() => Owner?.OnReady();

    public override void OnDue()
    {
        // Whoever passes the bytes on has the deadlines.
    }

    public override void BeginHead(ReadOnlySpan<byte> method, ReadOnlySpan<byte> authority, ReadOnlySpan<byte> path, ReadOnlySpan<byte> upgrade) =>
        socket.Handler = this;

    public override void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        // Nobody there would understand it.
    }

    public override bool EndHead(ContentLength length) => true;

    public override HeadStatus ReadHead(MessageHead head)
    {
        head.Reset();
        head.Status = 200;
        head.Body = BodyKind.UntilClose;
        return HeadStatus.Final;
    }

    public override ReadStatus Read(out ReadOnlySpan<byte> content)
    {
        if (input.IsEmpty)
        {
            var read = socket.IsReadable ? input.Fill(socket, isBulk: true) : -Native.Eagain;
            if (read <= 0)
            {
                input.Release();
                content = default;
                if (read is not 0 and not -Native.Eagain)
                {
                    Failure = Cause.Reset;
                    return ReadStatus.Failed;
                }

                return read == 0 ? ReadStatus.End : ReadStatus.Wait;
            }
        }

        content = input.Unread;
        return ReadStatus.Content;
    }

    public override void Consume(int count) => input.Skip(count);

    public override int Send(ReadOnlySpan<byte> content)
    {
        var sent = isBroken ? -1 : socket.Send(content);
        isBroken |= sent < 0;
        return sent < 0 ? -1 : sent;
    }

    public override void End(FieldBlock? trailers)
    {
        if (!isEnded)
        {
            isEnded = true;
            socket.ShutdownWrite();
        }
    }

    public override FlushStatus Flush() => isBroken ? FlushStatus.Broken : FlushStatus.Done;

    public override void Release() => Close(resets: false);

    /// <param name="resets">The peer must not take what it has for the whole.</param>
    public void Close(bool resets)
    {
        Owner = null;
        input.Release();
        if (!socket.IsOpen)
        {
            return;
        }

        onClosing?.Invoke(socket);
        if (resets)
        {
            socket.Abort();
        }
        else
        {
            socket.Close();
        }
    }

    public override void Abandon()
    {
        var owner = Owner;
        Close(resets: true);
        owner?.Abandon();
    }
}
