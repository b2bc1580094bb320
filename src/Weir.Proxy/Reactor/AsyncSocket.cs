using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

namespace Weir.Proxy.Reactor;

/// <summary>
/// A non-blocking TCP socket on a loop. Operations give bytes, 0 for the end of the stream, or a negative errno; they never throw.
/// One read and one write may be pending at a time. Awaiting allocates nothing.
/// </summary>
sealed unsafe class AsyncSocket : IoHandle, IValueTaskSource<int>
{
    readonly EventLoop loop;

    /// <summary>Made when a write first has to wait, which most sockets never do. A read waits in the socket itself.</summary>
    WriteOperation? writing;
    SocketLayer? layer;
    int fd;
    bool isReadable;
    bool isWritable;
    bool isPeerDone;
    bool isBroken;
    bool waitsForReadable;
    bool waitsForWritable;
    bool isConnecting;
    bool isReading;
    short readVersion;
    int readResult;
    Memory<byte> readTarget;
    Action<object?>? readContinuation;
    object? readState;

    AsyncSocket(EventLoop loop, int fd, bool isConnected)
    {
        this.loop = loop;
        this.fd = fd;
        isWritable = isConnected;
        loop.Register(fd, this, Native.EpollIn | Native.EpollOut | Native.EpollRdHup | Native.EpollEdge);
    }

    /// <summary>Options are those of the listening socket.</summary>
    public static AsyncSocket Accepted(EventLoop loop, int fd) => new(loop, fd, isConnected: true);

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

    /// <summary>For the layer, which reads and writes it by itself.</summary>
    public int Descriptor => fd;

    public SocketLayer? Layer => layer;

    /// <summary>Told when something happens to a socket that nobody is reading from: of an idle connection, its end.</summary>
    public IIdleObserver? IdleObserver { get; set; }

    /// <summary>The peer has closed, or sent bytes nobody asked for: either way an idle connection is of no more use.</summary>
    public bool IsStale => fd < 0 || isPeerDone || isReadable;

    /// <summary>The peer has sent its last byte, some of which may still be unread.</summary>
    public bool IsPeerDone => isPeerDone;

    /// <summary>The connection has been reset, or both directions are closed: nobody is there any more.</summary>
    public bool IsBroken => isBroken || fd < 0;

    public SocketAddressV4 LocalAddress => SocketAddressV4.OfSocket(fd);

    /// <summary>From here on bytes go through the layer. Nothing may be pending.</summary>
    public void Attach(SocketLayer added)
    {
        layer = added;
        isReadable = true;
    }

    /// <returns>0, or a negative errno.</returns>
    public ValueTask<int> ConnectAsync(SocketAddressV4 address, int timeoutMilliseconds)
    {
        if (address.IsLoopback)
        {
            Native.UseLocalCongestionControl(fd);
        }

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
        return Writing.Begin(timeoutMilliseconds);
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
        return BeginRead(timeoutMilliseconds);
    }

    /// <summary>Copies what has come without taking it. Does not wait: 0 bytes more than before means that nothing new is there.</summary>
    /// <returns>Bytes, 0 at the end of the stream, or a negative errno.</returns>
    public int Peek(Span<byte> target)
    {
        fixed (byte* buffer = target)
        {
            return Native.Receive(fd, buffer, target.Length, Native.MsgPeek);
        }
    }

    /// <summary>Waits until there is something to read, without holding a buffer meanwhile.</summary>
    /// <returns>1, or a negative errno.</returns>
    public ValueTask<int> WaitReadableAsync(int timeoutMilliseconds) =>
        isReadable || isPeerDone ? new ValueTask<int>(1) : WaitForEventAsync(timeoutMilliseconds);

    /// <summary>Reading would not wait.</summary>
    public bool IsReadyToRead => isReadable || isPeerDone || fd < 0;

    /// <summary>
    /// As <see cref="WaitReadableAsync"/>, for those that are many and wait long: tells by a call, after which <see cref="WaitResult"/>
    /// says how it ended. Not while <see cref="IsReadyToRead"/>.
    /// </summary>
    public void WhenReadable(int timeoutMilliseconds, Action<object?> tell, object state)
    {
        waitsForReadable = true;
        PrepareRead(timeoutMilliseconds);
        (readContinuation, readState) = (tell, state);
    }

    /// <summary>1, or a negative errno.</summary>
    public int WaitResult => readResult;

    /// <summary>Waits for the next event even if there are bytes that have been looked at but not taken.</summary>
    public ValueTask<int> WaitForMoreAsync(int timeoutMilliseconds) =>
        isPeerDone ? new ValueTask<int>(1) : WaitForEventAsync(timeoutMilliseconds);

    ValueTask<int> WaitForEventAsync(int timeoutMilliseconds)
    {
        if (fd < 0)
        {
            return new ValueTask<int>(-Native.Ecanceled);
        }

        waitsForReadable = true;
        return BeginRead(timeoutMilliseconds);
    }

    /// <summary>Waits until a write that could not be done may be tried again.</summary>
    public ValueTask<int> WaitWritableAsync(int timeoutMilliseconds)
    {
        if (fd < 0)
        {
            return new ValueTask<int>(-Native.Ecanceled);
        }

        waitsForWritable = true;
        return Writing.Begin(timeoutMilliseconds);
    }

    /// <summary>Writes all of it.</summary>
    /// <returns>The length, or a negative errno.</returns>
    public ValueTask<int> WriteAsync(ReadOnlyMemory<byte> source, int timeoutMilliseconds)
    {
        if (fd < 0)
        {
            return new ValueTask<int>(-Native.Ecanceled);
        }

        var written = 0;
        if (isWritable && TryWrite(source, ref written, out var result))
        {
            return new ValueTask<int>(result);
        }

        Writing.Source = source;
        Writing.Written = written;
        return Writing.Begin(timeoutMilliseconds);
    }

    /// <summary>Ends a pending read with this errno, so that whoever waits for it goes on.</summary>
    public void CancelRead(int errno)
    {
        waitsForReadable = false;
        CompleteRead(-errno);
    }

    /// <summary>Says that no more will be written, and reads on.</summary>
    public void ShutdownWrite()
    {
        if (fd >= 0)
        {
            layer?.ShutdownWrite();
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
        layer?.ShutdownWrite();
        layer?.Dispose();
        _ = Native.Close(fd);
        fd = -1;
        isReadable = isWritable = false;
        IdleObserver = null;
        loop.Timers.Remove(this);
        CompleteRead(-Native.Ecanceled);
        if (writing is not null)
        {
            loop.Timers.Remove(writing);
            writing.TryComplete(-Native.Ecanceled);
        }
    }

    /// <summary>Closes so that the peer is told of an abort: with a reset instead of an orderly end.</summary>
    public void Abort()
    {
        if (fd >= 0)
        {
            var linger = (On: 1, Seconds: 0);
            _ = Native.SetOption(fd, Native.SolSocket, Native.SoLinger, (int*)&linger, sizeof(long));
            Close();
        }
    }

    public override void OnEvents(uint events)
    {
        if ((events & (Native.EpollRdHup | Native.EpollHup | Native.EpollErr)) != 0)
        {
            isPeerDone = true;
            isBroken |= (events & (Native.EpollHup | Native.EpollErr)) != 0 && !isConnecting;
        }

        if ((events & (Native.EpollOut | Native.EpollErr | Native.EpollHup)) != 0)
        {
            isWritable = true;
            if (writing is { IsPending: true })
            {
                ContinueWriting();
            }

            // A layer's read may have been waiting to write. Where there is also something to read, that is seen to below, once:
            // by then whoever reads may have let go of the socket.
            if (layer is not null && fd >= 0 && isReading && !waitsForReadable && (events & Native.EpollIn) == 0)
            {
                ContinueReading();
            }
        }

        if (fd >= 0 && (events & (Native.EpollIn | Native.EpollRdHup | Native.EpollErr | Native.EpollHup)) != 0)
        {
            isReadable = true;
            if (isReading)
            {
                ContinueReading();
            }
            else
            {
                IdleObserver?.OnIdleEvent();
            }
        }
    }

    WriteOperation Writing => writing ??= new WriteOperation(this);

    void ContinueReading()
    {
        if (waitsForReadable)
        {
            waitsForReadable = false;
            CompleteRead(1);
        }
        else if (TryRead(readTarget, out var result))
        {
            CompleteRead(result);
        }
    }

    void ContinueWriting()
    {
        if (isConnecting)
        {
            isConnecting = false;
            int error = 0, length = sizeof(int);
            _ = Native.GetOption(fd, Native.SolSocket, Native.SoError, &error, &length);
            writing!.TryComplete(-error);
        }
        else if (waitsForWritable)
        {
            waitsForWritable = false;
            writing!.TryComplete(1);
        }
        else if (TryWrite(writing!.Source, ref writing.Written, out var result))
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
                result = layer is null ? Native.Receive(fd, buffer, target.Length, 0) : layer.Receive(buffer, target.Length);
            }

            if (result >= 0)
            {
                // With edge-triggered epoll a short read means that the kernel has no more; the next event will say when it has.
                // After the peer's last byte there is no next event.
                isReadable = (layer is null ? result == target.Length : layer.MayReadMore) || isPeerDone;
                return true;
            }

            switch (-result)
            {
                case Native.Eagain:
                    isReadable = false;
                    return false;
                case Native.Eintr:
                    continue;
                default:
                    isPeerDone = isBroken = true;
                    return true;
            }
        }
    }

    bool TryWrite(ReadOnlyMemory<byte> source, ref int written, out int result)
    {
        while (written < source.Length)
        {
            int sent;
            var rest = source.Span[written..];
            fixed (byte* buffer = rest)
            {
                sent = layer is null ? Native.Send(fd, buffer, rest.Length) : layer.Send(buffer, rest.Length);
            }

            if (sent >= 0)
            {
                written += sent;
                continue;
            }

            switch (-sent)
            {
                case Native.Eagain:
                    isWritable = false;
                    result = 0;
                    return false;
                case Native.Eintr:
                    continue;
                default:
                    result = sent;
                    return true;
            }
        }

        result = written;
        return true;
    }

    static void SetNoDelay(int fd)
    {
        var one = 1;
        _ = Native.SetOption(fd, Native.IpProtoTcp, Native.TcpNoDelay, &one, sizeof(int));
    }

    ValueTask<int> BeginRead(int timeoutMilliseconds)
    {
        PrepareRead(timeoutMilliseconds);
        return new ValueTask<int>(this, readVersion);
    }

    void PrepareRead(int timeoutMilliseconds)
    {
        isReading = true;
        readVersion++;
        if (timeoutMilliseconds > 0)
        {
            loop.Timers.Set(this, loop.Now + timeoutMilliseconds);
        }
    }

    /// <summary>Runs the code that waits, at once, on the loop.</summary>
    void CompleteRead(int result)
    {
        if (!isReading)
        {
            return;
        }

        isReading = false;
        readTarget = default;
        TimerWheel.Clear(this);
        readResult = result;
        var (continuation, state) = (readContinuation, readState);
        readContinuation = null;
        readState = null;
        continuation?.Invoke(state);
    }

    /// <summary>The read has taken too long.</summary>
    public override void OnDue()
    {
        waitsForReadable = false;
        CompleteRead(-Native.EtimedOut);
    }

    int IValueTaskSource<int>.GetResult(short token) => token == readVersion ? readResult : throw new InvalidOperationException("a read was awaited twice");

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => isReading ? ValueTaskSourceStatus.Pending : ValueTaskSourceStatus.Succeeded;

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        if (isReading)
        {
            (readContinuation, readState) = (continuation, state);
        }
        else
        {
            continuation(state);
        }
    }

    /// <summary>A write, or connecting, that waits; reusable, with a deadline. Completing it runs the awaiting code at once, on the loop.</summary>
    sealed class WriteOperation(AsyncSocket socket) : TimerEntry, IValueTaskSource<int>
    {
        public ReadOnlyMemory<byte> Source;
        public int Written;
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
                Source = default;
                TimerWheel.Clear(this);
                core.SetResult(result);
            }
        }

        public override void OnDue()
        {
            socket.waitsForWritable = socket.isConnecting = false;
            TryComplete(-Native.EtimedOut);
        }

        public int GetResult(short token) => core.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            core.OnCompleted(continuation, state, token, flags & ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext);
    }
}

/// <summary>Who is told of events on a socket that nobody reads from.</summary>
interface IIdleObserver
{
    void OnIdleEvent();
}
