namespace Weir.Proxy.Reactor;

/// <summary>A listening socket of one loop; with SO_REUSEPORT each loop has its own and the kernel shares connections out.</summary>
sealed unsafe class ListeningSocket : IoHandle
{
    const int Backlog = 4096;

    /// <summary>Connections taken in one turn, so that a flood does not starve those already served.</summary>
    const int MaximumBurst = 64;

    readonly EventLoop loop;
    readonly IAcceptor acceptor;
    readonly Retry retry;
    int fd;
    int expected = 1;

    ListeningSocket(EventLoop loop, int fd, IAcceptor acceptor)
    {
        this.loop = loop;
        this.fd = fd;
        this.acceptor = acceptor;
        retry = new Retry(this);
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

    /// <summary>Starts accepting, on the loop's thread. Null when the socket cannot be watched; it is closed then.</summary>
    public static ListeningSocket? Start(EventLoop loop, int fd, IAcceptor acceptor)
    {
        var socket = new ListeningSocket(loop, fd, acceptor);
        if (loop.Watch(fd, socket, accepts: true) == 0)
        {
            return socket;
        }

        loop.Kernel.Close(fd);
        return null;
    }

    public void Close()
    {
        if (fd >= 0)
        {
            loop.Unwatch(this);
            loop.Timers.Remove(retry);
            loop.Kernel.Close(fd);
            fd = -1;
        }
    }

    /// <summary>Closes a connection that will not be served; a client that speaks HTTP is told so.</summary>
    public static void TurnAway(EventLoop loop, int fd, bool isHttp)
    {
        if (isHttp)
        {
            fixed (byte* answer = Refusal)
            {
                _ = loop.Kernel.Send(fd, answer, Refusal.Length);
            }
        }

        loop.Kernel.Close(fd);
    }

    static ReadOnlySpan<byte> Refusal =>
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 20\r\nconnection: close\r\n\r\ntoo many connections"u8;

    public override void OnEvents(SocketEvents events)
    {
        // As many as there were last time, so that under a light load no call finds an empty queue. What is left raises the event again.
        var limit = expected;
        expected = Math.Min(expected * 2, MaximumBurst);
        for (var i = 0; i < limit && fd >= 0; i++)
        {
            if (!acceptor.MayAccept)
            {
                // They wait in the kernel's queue.
                Pause(20);
                return;
            }

            var accepted = loop.Kernel.Accept(fd, out var peer);
            if (accepted >= 0)
            {
                acceptor.OnAccepted(accepted, peer);
                continue;
            }

            expected = Math.Max(i, 1);
            if (accepted is -Native.Emfile or -Native.Enfile)
            {
                Pause(100);
                acceptor.OnExhausted();
            }

            return;
        }
    }

    /// <summary>It goes on: what failed was one connection.</summary>
    public override void Abandon()
    {
    }

    /// <summary>Looks away for a moment instead of spinning on the same event.</summary>
    public void Pause(int milliseconds)
    {
        if (fd >= 0 && Slot >= 0)
        {
            loop.Suspend(fd, this);
            loop.Timers.Set(retry, loop.Now + milliseconds);
        }
    }

    /// <summary>Looks again: there may be descriptors by now.</summary>
    void Resume()
    {
        if (fd >= 0 && Slot < 0 && loop.Watch(fd, this, accepts: true) < 0)
        {
            loop.Timers.Set(retry, loop.Now + 100);
        }
    }

    sealed class Retry(ListeningSocket socket) : TimerEntry
    {
        public override void OnDue() => socket.Resume();
    }
}

/// <summary>Who takes the connections of a listening socket.</summary>
interface IAcceptor
{
    void OnAccepted(int fd, SocketAddressV4 peer);

    /// <summary>There is room for one more.</summary>
    bool MayAccept { get; }

    /// <summary>A connection is waiting that cannot be accepted: the machine has no descriptor left.</summary>
    void OnExhausted();
}
