using System.Runtime.InteropServices;

namespace Weir.Proxy.Reactor;

/// <summary>Linux, by epoll and an eventfd to be woken by.</summary>
sealed unsafe class EpollKernel : Kernel
{
    const int MaximumEvents = 256;
    const ulong WakeupKey = ulong.MaxValue;

    readonly int epoll;
    readonly int wakeup;
    readonly byte* entries;

    /// <exception cref="IOException">The machine has no descriptor left.</exception>
    public EpollKernel()
    {
        epoll = Native.EpollCreate(Native.EpollCloseOnExec);
        wakeup = Native.EventFd(0, Native.SockNonBlock | Native.SockCloseOnExec);
        if (epoll < 0 || wakeup < 0 || Control(Native.EpollAdd, wakeup, Native.EpollIn | Native.EpollEdge, WakeupKey) < 0)
        {
            throw new IOException($"no event loop: errno {Native.Errno}");
        }

        entries = (byte*)NativeMemory.Alloc((nuint)(MaximumEvents * Native.EpollEventSize));
    }

    public override long Milliseconds => Environment.TickCount64;

    public override int Wait(KernelEvent[] events, int timeoutMilliseconds)
    {
        var count = Native.EpollWait(epoll, entries, Math.Min(events.Length, MaximumEvents), timeoutMilliseconds);
        var kept = 0;
        for (var i = 0; i < count; i++)
        {
            var (mask, key) = Native.ReadEvent(entries, i);
            if (key == WakeupKey)
            {
                ulong value;
                _ = Native.Read(wakeup, (byte*)&value, sizeof(ulong));
                continue;
            }

            events[kept++] = new KernelEvent(key, Translate(mask));
        }

        return kept;
    }

    static SocketEvents Translate(uint mask)
    {
        var events = SocketEvents.None;
        if ((mask & (Native.EpollIn | Native.EpollRdHup | Native.EpollErr | Native.EpollHup)) != 0)
        {
            events |= SocketEvents.Readable;
        }

        if ((mask & (Native.EpollOut | Native.EpollErr | Native.EpollHup)) != 0)
        {
            events |= SocketEvents.Writable;
        }

        if ((mask & (Native.EpollRdHup | Native.EpollHup | Native.EpollErr)) != 0)
        {
            events |= SocketEvents.PeerDone;
        }

        return (mask & (Native.EpollHup | Native.EpollErr)) != 0 ? events | SocketEvents.Broken : events;
    }

    public override void Wake()
    {
        ulong one = 1;
        _ = Native.Write(wakeup, (byte*)&one, sizeof(ulong));
    }

    public override int Watch(int fd, ulong key) =>
        Control(Native.EpollAdd, fd, Native.EpollIn | Native.EpollOut | Native.EpollRdHup | Native.EpollEdge, key);

    public override int WatchAccept(int fd, ulong key) => Control(Native.EpollAdd, fd, Native.EpollIn, key);

    public override void Forget(int fd) => _ = Native.EpollControl(epoll, Native.EpollDelete, fd, null);

    int Control(int operation, int fd, uint interest, ulong key)
    {
        var entry = stackalloc byte[16];
        Native.WriteEvent(entry, interest, key);
        return Native.EpollControl(epoll, operation, fd, entry) == 0 ? 0 : -Native.Errno;
    }

    public override int Open()
    {
        var fd = Native.Socket(Native.AfInet, Native.SockStream | Native.SockNonBlock | Native.SockCloseOnExec, 0);
        if (fd < 0)
        {
            return -Native.Errno;
        }

        var one = 1;
        _ = Native.SetOption(fd, Native.IpProtoTcp, Native.TcpNoDelay, &one, sizeof(int));
        return fd;
    }

    public override int Connect(int fd, SocketAddressV4 address)
    {
        if (address.IsLoopback)
        {
            Native.UseLocalCongestionControl(fd);
        }

        var native = address.ToNative();
        return Native.Connect(fd, &native, sizeof(Native.SocketAddress)) == 0 ? 0 : -Native.Errno;
    }

    public override int ConnectResult(int fd)
    {
        int error = 0, length = sizeof(int);
        return Native.GetOption(fd, Native.SolSocket, Native.SoError, &error, &length) == 0 ? -error : -Native.Errno;
    }

    public override int Accept(int fd, out SocketAddressV4 peer)
    {
        Native.SocketAddress address;
        var length = sizeof(Native.SocketAddress);
        var accepted = Native.Accept(fd, &address, &length, Native.SockNonBlock | Native.SockCloseOnExec);
        peer = accepted >= 0 ? SocketAddressV4.FromNative(address) : default;
        return accepted >= 0 ? accepted : -Native.Errno;
    }

    public override int Receive(int fd, byte* buffer, int length) => Native.Receive(fd, buffer, length, 0);

    public override int Peek(int fd, byte* buffer, int length) => Native.Receive(fd, buffer, length, Native.MsgPeek);

    public override int Send(int fd, byte* buffer, int length) => Native.Send(fd, buffer, length);

    public override void ShutdownWrite(int fd) => _ = Native.Shutdown(fd, Native.ShutWrite);

    public override void Close(int fd) => _ = Native.Close(fd);

    public override void Reset(int fd)
    {
        var linger = (On: 1, Seconds: 0);
        _ = Native.SetOption(fd, Native.SolSocket, Native.SoLinger, (int*)&linger, sizeof(long));
        _ = Native.Close(fd);
    }

    public override SocketAddressV4 LocalAddress(int fd) => SocketAddressV4.OfSocket(fd);

    public override void Dispose()
    {
        base.Dispose();
        _ = Native.Close(epoll);
        _ = Native.Close(wakeup);
        NativeMemory.Free(entries);
    }
}
