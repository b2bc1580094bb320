namespace Weir.Proxy.Reactor;

/// <summary>A listening socket of one loop; with SO_REUSEPORT each loop has its own and the kernel shares connections out.</summary>
sealed unsafe class ListeningSocket : IoHandle
{
    const int Backlog = 4096;

    /// <summary>Connections taken in one turn, so that a flood does not starve those already served.</summary>
    const int MaximumBurst = 64;

    readonly EventLoop loop;
    readonly Action<int, SocketAddressV4> onAccepted;
    int fd;
    int expected = 1;

    ListeningSocket(EventLoop loop, int fd, Action<int, SocketAddressV4> onAccepted)
    {
        this.loop = loop;
        this.fd = fd;
        this.onAccepted = onAccepted;
    }

    /// <summary>Binds at once, on any thread, so that a taken address is known before anything depends on it.</summary>
    /// <returns>A negative errno on failure.</returns>
    /// <param name="isShared">Other loops bind it too. Otherwise a second listener, of whatever process, is an error.</param>
    public static int Bind(SocketAddressV4 address, bool isShared)
    {
        var fd = Native.Socket(Native.AfInet, Native.SockStream | Native.SockNonBlock | Native.SockCloseOnExec, 0);
        if (fd < 0)
        {
            return -Native.Errno;
        }

        var one = 1;
        _ = Native.SetOption(fd, Native.SolSocket, Native.SoReuseAddr, &one, sizeof(int));
        if (isShared)
        {
            _ = Native.SetOption(fd, Native.SolSocket, Native.SoReusePort, &one, sizeof(int));
        }

        // Accepted sockets inherit both.
        _ = Native.SetOption(fd, Native.IpProtoTcp, Native.TcpNoDelay, &one, sizeof(int));
        if (address.IsLoopback)
        {
            Native.UseLocalCongestionControl(fd);
        }

        var native = address.ToNative();
        if (Native.Bind(fd, &native, sizeof(Native.SocketAddress)) != 0 || Native.Listen(fd, Backlog) != 0)
        {
            var errno = Native.Errno;
            _ = Native.Close(fd);
            return -errno;
        }

        return fd;
    }

    /// <summary>Starts accepting, on the loop's thread.</summary>
    public static ListeningSocket Start(EventLoop loop, int fd, Action<int, SocketAddressV4> onAccepted)
    {
        var socket = new ListeningSocket(loop, fd, onAccepted);

        // Level-triggered: what one turn leaves, the next one finds.
        loop.Register(fd, socket, Native.EpollIn);
        return socket;
    }

    public void Close()
    {
        if (fd >= 0)
        {
            loop.Unregister(this);
            loop.Timers.Remove(this);
            _ = Native.Close(fd);
            fd = -1;
        }
    }

    /// <summary>Closes a connection that will not be served; a client that speaks HTTP is told so.</summary>
    public static void TurnAway(int fd, bool isHttp)
    {
        if (isHttp)
        {
            fixed (byte* answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 20\r\nconnection: close\r\n\r\ntoo many connections"u8)
            {
                _ = Native.Send(fd, answer, 121);
            }
        }

        _ = Native.Close(fd);
    }

    public override void OnEvents(uint events)
    {
        // As many as there were last time, so that under a light load no call finds an empty queue. What is left raises the event again.
        var limit = expected;
        expected = Math.Min(expected * 2, MaximumBurst);
        for (var i = 0; i < limit && fd >= 0; i++)
        {
            Native.SocketAddress peer;
            var length = sizeof(Native.SocketAddress);
            var accepted = Native.Accept(fd, &peer, &length, Native.SockNonBlock | Native.SockCloseOnExec);
            if (accepted >= 0)
            {
                onAccepted(accepted, SocketAddressV4.FromNative(peer));
                continue;
            }

            expected = Math.Max(i, 1);
            if (Native.Errno is Native.Emfile or Native.Enfile)
            {
                // No descriptor left: look away for a moment instead of spinning on the same event.
                loop.Suspend(fd, this);
                loop.Timers.Set(this, loop.Now + 100);
            }

            return;
        }
    }

    /// <summary>Looks again: there may be descriptors by now.</summary>
    public override void OnDue()
    {
        if (fd >= 0)
        {
            loop.Register(fd, this, Native.EpollIn);
        }
    }
}
