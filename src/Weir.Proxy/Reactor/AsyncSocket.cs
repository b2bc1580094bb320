using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

namespace Weir.Proxy.Reactor;

/// <summary>
/// A non-blocking TCP socket on a loop. Operations give bytes, 0 for the end of the stream, or a negative errno; they never throw.
/// One read and one write may be pending at a time. Awaiting allocates nothing.
/// </summary>
sealed unsafe class AsyncSocket : IoHandle
{
    readonly EventLoop loop;
    readonly Operation reading;
    readonly Operation writing;
    int fd;
    bool isReadable;
    bool isWritable;
    bool isPeerDone;
    Memory<byte> readTarget;
    bool waitsForReadable;
    ReadOnlyMemory<byte> writeSource;
    int written;
    bool isConnecting;

    AsyncSocket(EventLoop loop, int fd, bool isConnected)
    {
        this.loop = loop;
        this.fd = fd;
        isWritable = isConnected;

        // The first read tries at once: the client has often sent its request by the time it is accepted.
        isReadable = isConnected;
        reading = new Operation(this, isRead: true);
        writing = new Operation(this, isRead: false);
        loop.Register(fd, this, Native.EpollIn | Native.EpollOut | Native.EpollRdHup | Native.EpollEdge);
    }

    public static AsyncSocket Accepted(EventLoop loop, int fd)
    {
        SetNoDelay(fd);
        return new AsyncSocket(loop, fd, isConnected: true);
    }

    /// <summary>Null when the machine has no descriptor left.</summary>
    public static AsyncSocket? Create(EventLoop loop)
    {
        var fd = Native.Socket(Native.AfInet, Native.SockStream | Native.SockNonBlock | Native.SockCloseOnExec, 0);
        if (fd < 0)
        {
            return null;
        }

        SetNoDelay(fd);
        return new AsyncSocket(loop, fd, isConnected: false);
    }

    public bool IsOpen => fd >= 0;

    /// <summary>Called when something happens to a socket that nobody is reading from: of an idle connection, its end.</summary>
    public Action? OnIdleEvent { get; set; }

    /// <summary>The peer has closed, or sent bytes nobody asked for: either way an idle connection is of no more use.</summary>
    public bool IsStale => fd < 0 || isPeerDone || isReadable;

    /// <summary>The peer has sent its last byte, some of which may still be unread.</summary>
    public bool IsPeerDone => isPeerDone;

    /// <returns>0, or a negative errno.</returns>
    public ValueTask<int> ConnectAsync(SocketAddressV4 address, int timeoutMilliseconds)
    {
        var native = address.ToNative();
        if (Native.Connect(fd, &native, sizeof(Native.SocketAddress)) == 0)
        {
            isWritable = true;
            return new ValueTask<int>(0);
        }

        var errno = Native.Errno;
        if (errno != Native.Einprogress)
        {
            return new ValueTask<int>(-errno);
        }

        isConnecting = true;
        return writing.Begin(timeoutMilliseconds);
    }

    /// <param name="timeoutMilliseconds">0 for none.</param>
    public ValueTask<int> ReadAsync(Memory<byte> target, int timeoutMilliseconds)
    {
        if (isReadable && TryRead(target, out var result))
        {
            return new ValueTask<int>(result);
        }

        if (fd < 0)
        {
            return new ValueTask<int>(-Native.Ecanceled);
        }

        readTarget = target;
        return reading.Begin(timeoutMilliseconds);
    }

    /// <summary>Waits until there is something to read, without holding a buffer meanwhile.</summary>
    /// <returns>1, or a negative errno.</returns>
    public ValueTask<int> WaitReadableAsync(int timeoutMilliseconds)
    {
        if (isReadable || isPeerDone)
        {
            return new ValueTask<int>(1);
        }

        if (fd < 0)
        {
            return new ValueTask<int>(-Native.Ecanceled);
        }

        waitsForReadable = true;
        return reading.Begin(timeoutMilliseconds);
    }

    /// <summary>Writes all of it.</summary>
    /// <returns>The length, or a negative errno.</returns>
    public ValueTask<int> WriteAsync(ReadOnlyMemory<byte> source, int timeoutMilliseconds)
    {
        if (fd < 0)
        {
            return new ValueTask<int>(-Native.Ecanceled);
        }

        writeSource = source;
        written = 0;
        return isWritable && TryWrite(out var result) ? new ValueTask<int>(result) : writing.Begin(timeoutMilliseconds);
    }

    /// <summary>Ends a pending read with this errno, so that whoever waits for it goes on.</summary>
    public void CancelRead(int errno) => reading.TryComplete(-errno);

    /// <summary>Says that no more will be written, and reads on.</summary>
    public void ShutdownWrite()
    {
        if (fd >= 0)
        {
            _ = Native.Shutdown(fd, Native.ShutWrite);
        }
    }

    public void Close()
    {
        if (fd < 0)
        {
            return;
        }

        loop.Unregister(this);
        _ = Native.Close(fd);
        fd = -1;
        loop.Timers.Remove(reading);
        loop.Timers.Remove(writing);
        reading.TryComplete(-Native.Ecanceled);
        writing.TryComplete(-Native.Ecanceled);
    }

    public override void OnEvents(uint events)
    {
        if ((events & (Native.EpollRdHup | Native.EpollHup | Native.EpollErr)) != 0)
        {
            isPeerDone = true;
        }

        if ((events & (Native.EpollOut | Native.EpollErr | Native.EpollHup)) != 0)
        {
            isWritable = true;
            if (writing.IsPending)
            {
                ContinueWriting();
            }
        }

        if (fd >= 0 && (events & (Native.EpollIn | Native.EpollRdHup | Native.EpollErr | Native.EpollHup)) != 0)
        {
            isReadable = true;
            if (reading.IsPending)
            {
                ContinueReading();
            }
            else
            {
                OnIdleEvent?.Invoke();
            }
        }
    }

    void ContinueReading()
    {
        if (waitsForReadable)
        {
            waitsForReadable = false;
            reading.TryComplete(1);
        }
        else if (TryRead(readTarget, out var result))
        {
            reading.TryComplete(result);
        }
    }

    void ContinueWriting()
    {
        if (isConnecting)
        {
            isConnecting = false;
            int error = 0, length = sizeof(int);
            _ = Native.GetOption(fd, Native.SolSocket, Native.SoError, &error, &length);
            writing.TryComplete(-error);
        }
        else if (TryWrite(out var result))
        {
            writing.TryComplete(result);
        }
    }

    bool TryRead(Memory<byte> target, out int result)
    {
        while (true)
        {
            fixed (byte* buffer = target.Span)
            {
                result = (int)Native.Receive(fd, buffer, target.Length, 0);
            }

            if (result >= 0)
            {
                // With edge-triggered epoll a short read means that the kernel has no more; the next event will say when it has.
                // After the peer's last byte there is no next event.
                isReadable = result == target.Length || isPeerDone;
                return true;
            }

            switch (Native.Errno)
            {
                case Native.Eagain:
                    isReadable = false;
                    return false;
                case Native.Eintr:
                    continue;
                default:
                    result = -Native.Errno;
                    isPeerDone = true;
                    return true;
            }
        }
    }

    bool TryWrite(out int result)
    {
        while (written < writeSource.Length)
        {
            nint sent;
            fixed (byte* buffer = writeSource.Span[written..])
            {
                sent = Native.Send(fd, buffer, writeSource.Length - written, Native.MsgNoSignal);
            }

            if (sent >= 0)
            {
                written += (int)sent;
                continue;
            }

            switch (Native.Errno)
            {
                case Native.Eagain:
                    isWritable = false;
                    result = 0;
                    return false;
                case Native.Eintr:
                    continue;
                default:
                    result = -Native.Errno;
                    return true;
            }
        }

        result = written;
        writeSource = default;
        return true;
    }

    static void SetNoDelay(int fd)
    {
        var one = 1;
        _ = Native.SetOption(fd, Native.IpProtoTcp, Native.TcpNoDelay, &one, sizeof(int));
    }

    /// <summary>A reusable awaitable with a deadline. Completing it runs the awaiting code at once, on the loop.</summary>
    sealed class Operation(AsyncSocket socket, bool isRead) : TimerEntry, IValueTaskSource<int>
    {
        ManualResetValueTaskSourceCore<int> core;

        public bool IsPending { get; private set; }

        public ValueTask<int> Begin(int timeoutMilliseconds)
        {
            core.Reset();
            IsPending = true;
            if (timeoutMilliseconds > 0)
            {
                socket.loop.Timers.Set(this, socket.loop.Now + timeoutMilliseconds);
            }

            return new ValueTask<int>(this, core.Version);
        }

        public void TryComplete(int result)
        {
            if (IsPending)
            {
                IsPending = false;
                TimerWheel.Clear(this);
                core.SetResult(result);
            }
        }

        public override void OnDue()
        {
            if (isRead)
            {
                socket.waitsForReadable = false;
            }

            TryComplete(-Native.EtimedOut);
        }

        public int GetResult(short token) => core.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            core.OnCompleted(continuation, state, token, flags & ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext);
    }
}
