using System.Runtime.CompilerServices;

namespace Weir.Proxy.Reactor;

/// <summary>
/// A non-blocking TCP socket on a loop. Reading and writing give bytes, 0 for the end of the stream, or a negative errno, of which
/// <c>-EAGAIN</c> means that the handler will be called; they never throw and never call the handler themselves.
/// </summary>
sealed unsafe class TcpSocket : IoHandle
{
    readonly EventLoop loop;
    SocketLayer? layer;
    int fd;
    Readiness known;
    bool isConnecting;

    /// <summary>What a write has failed with; 0 for nothing.</summary>
    int failure;

    TcpSocket(EventLoop loop, int fd) => (this.loop, this.fd) = (loop, fd);

    /// <summary>Called when something has come of what the socket was waiting for, and when the peer is done.</summary>
    public LoopHandler? Handler;

    /// <summary>A connection that was accepted; its options are those of the listening socket. Null, and closed, when it cannot be watched.</summary>
    public static TcpSocket? Accepted(EventLoop loop, int fd)
    {
        var socket = new TcpSocket(loop, fd);
        socket.known.IsWritable = true;
        if (loop.Watch(fd, socket, accepts: false) == 0)
        {
            return socket;
        }

        loop.Kernel.Close(fd);
        return null;
    }

    /// <summary>Begins to connect; the handler is called when <see cref="ConnectResult"/> can be asked. Null when there is no descriptor for it.</summary>
    public static TcpSocket? Connect(EventLoop loop, SocketAddressV4 address, LoopHandler handler)
    {
        var fd = loop.Watched < loop.MostToConnect ? loop.Kernel.Open() : -Native.Emfile;
        if (fd < 0 || Accepted(loop, fd) is not { } socket)
        {
            return null;
        }

        socket.Handler = handler;
        var result = loop.Kernel.Connect(fd, address);
        socket.isConnecting = result == -Native.Einprogress;
        socket.known.IsWritable = result == 0;
        socket.connectResult = result;
        if (!socket.isConnecting)
        {
            loop.Defer(handler);
        }

        return socket;
    }

    int connectResult;

    /// <summary>0 when connected, <c>-EINPROGRESS</c> while it is not known, or why not.</summary>
    public int ConnectResult => isConnecting ? -Native.Einprogress : connectResult;

    public bool IsOpen => fd >= 0;

    /// <summary>For the layer, which reads and writes it by itself.</summary>
    public int Descriptor => fd;

    public Kernel Kernel => loop.Kernel;

    public SocketLayer? Layer => layer;

    /// <summary>The peer has closed, or sent bytes nobody asked for: either way an idle connection is of no more use.</summary>
    public bool IsStale => fd < 0 || known.IsPeerDone || known.IsReadable;

    /// <summary>The peer has sent its last byte, some of which may still be unread.</summary>
    public bool IsPeerDone => known.IsPeerDone;

    /// <summary>The connection has been reset, or both directions are closed: nobody is there any more.</summary>
    public bool IsBroken => known.IsBroken || fd < 0;

    /// <summary>Reading would give something, if only an end.</summary>
    public bool IsReadable => known.IsReadable || known.IsPeerDone || fd < 0;

    public SocketAddressV4 LocalAddress => fd < 0 ? default : loop.Kernel.LocalAddress(fd);

    /// <summary>From here on bytes go through the layer.</summary>
    /// <param name="mayRead">The layer, or the kernel, may have something by now.</param>
    public void Attach(SocketLayer added, bool mayRead)
    {
        layer = added;
        known.IsReadable |= mayRead;
    }

    public int Receive(Span<byte> target) =>
        known.IsReadable || (known.IsPeerDone && fd >= 0) ? ReceiveNow(target) : fd < 0 ? -Native.Ecanceled : -Native.Eagain;

    int ReceiveNow(Span<byte> target)
    {
        int result;
        fixed (byte* buffer = target)
        {
            do
            {
                result = layer is null ? loop.Kernel.Receive(fd, buffer, target.Length) : layer.Receive(buffer, target.Length);
            }
            while (result == -Native.Eintr);
        }

        if (result == 0 && failure != 0)
        {
            result = failure;
        }

        known.OnReceived(result, layer is null ? result == target.Length : layer.MayReadMore);
        return result;
    }

    /// <summary>Copies what has come without taking it.</summary>
    public int Peek(Span<byte> target)
    {
        fixed (byte* buffer = target)
        {
            // What is seen can be read, though its event may still be on its way.
            var seen = fd < 0 ? -Native.Ecanceled : loop.Kernel.Peek(fd, buffer, target.Length);
            known.IsReadable |= seen > 0;
            return seen;
        }
    }

    /// <summary>Sends what the kernel takes of it: all, or less when the peer is behind.</summary>
    /// <returns>Bytes, which may be 0; or a negative errno other than <c>-EAGAIN</c>, after which nothing more can be sent.</returns>
    public int Send(ReadOnlySpan<byte> source)
    {
        var sent = 0;
        fixed (byte* buffer = source)
        {
            while (sent < source.Length && known.IsWritable)
            {
                var result = layer is null ? loop.Kernel.Send(fd, buffer + sent, source.Length - sent) : layer.Send(buffer + sent, source.Length - sent);
                if (result >= 0)
                {
                    sent += result;
                }
                else if (result == -Native.Eagain)
                {
                    known.IsWritable = false;
                }
                else if (result != -Native.Eintr)
                {
                    // The kernel tells an error once: what is read from now on must not look like an orderly end. (EPIPE says that we have
                    // written after the peer's end, which was orderly.)
                    failure = result == -Native.Epipe ? failure : result;
                    known.IsBroken = true;
                    return result;
                }
            }
        }

        return fd < 0 ? -Native.Ecanceled : sent;
    }

    /// <summary>Says that no more will be written, and reads on.</summary>
    public void ShutdownWrite()
    {
        if (fd >= 0)
        {
            layer?.ShutdownWrite();
            loop.Kernel.ShutdownWrite(fd);
        }
    }

    public void Close() => Close(resets: false);

    /// <summary>Closes so that the peer is told of an abort: with a reset instead of an orderly end.</summary>
    public void Abort() => Close(resets: true);

    void Close(bool resets)
    {
        if (fd < 0)
        {
            return;
        }

        loop.Unwatch(this);
        if (!resets)
        {
            layer?.ShutdownWrite();
        }

        layer?.Dispose();
        if (resets)
        {
            loop.Kernel.Reset(fd);
        }
        else
        {
            loop.Kernel.Close(fd);
        }

        fd = -1;
        known.IsReadable = known.IsWritable = isConnecting = false;
        Handler = null;
    }

    public override void OnEvents(SocketEvents events)
    {
        if (isConnecting)
        {
            if ((events & SocketEvents.Writable) != 0)
            {
                isConnecting = false;
                connectResult = loop.Kernel.ConnectResult(fd);
            }
        }
        else if ((events & SocketEvents.Broken) != 0)
        {
            known.IsBroken = true;
        }

        known.Take(events);
        if ((events & SocketEvents.Readable) != 0)
        {
            layer?.OnReadable();
        }

        Handler?.OnReady();
    }

    public override void Abandon()
    {
        try
        {
            Handler?.Abandon();
        }
        finally
        {
            Abort();
        }
    }
}
