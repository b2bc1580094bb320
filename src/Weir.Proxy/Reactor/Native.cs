using System.Runtime.InteropServices;

namespace Weir.Proxy.Reactor;

/// <summary>The system calls of the data path, as libc offers them on Linux. Numbers are those of the kernel's headers.</summary>
static unsafe partial class Native
{
    public const int AfInet = 2;
    public const int SockStream = 1;
    public const int SockNonBlock = 0x800;
    public const int SockCloseOnExec = 0x80000;
    public const int SolSocket = 1;
    public const int SoReuseAddr = 2;
    public const int SoError = 4;
    public const int SoLinger = 13;
    public const int SoReusePort = 15;
    public const int IpProtoTcp = 6;
    public const int TcpNoDelay = 1;
    public const int TcpCongestion = 13;
    public const int MsgPeek = 2;
    public const int SockCloseOnExecMessage = 0x40000000;
    public const int SigPipe = 13;
    public const int SigIgnore = 1;
    public const int MsgNoSignal = 0x4000;
    public const int ShutWrite = 1;

    public const uint EpollIn = 0x1;
    public const uint EpollOut = 0x4;
    public const uint EpollErr = 0x8;
    public const uint EpollHup = 0x10;
    public const uint EpollRdHup = 0x2000;
    public const uint EpollEdge = 1u << 31;
    public const int EpollAdd = 1;
    public const int EpollDelete = 2;
    public const int EpollCloseOnExec = 0x80000;

    public const int EaddrInUse = 98;
    public const int Eintr = 4;
    public const int Eagain = 11;
    public const int Enfile = 23;
    public const int Emfile = 24;
    public const int Enobufs = 105;
    public const int Epipe = 32;
    public const int Eproto = 71;
    public const int EconnReset = 104;
    public const int EtimedOut = 110;
    public const int Einprogress = 115;
    public const int Ecanceled = 125;

    /// <summary>The kernel packs epoll_event on x86-64 and nowhere else.</summary>
    static readonly bool IsPacked = RuntimeInformation.ProcessArchitecture == Architecture.X64;

    public static readonly int EpollEventSize = IsPacked ? 12 : 16;
    static readonly int EpollDataOffset = IsPacked ? 4 : 8;

    [StructLayout(LayoutKind.Sequential)]
    public struct SocketAddress
    {
        public ushort Family;
        public ushort PortNetworkOrder;
        public uint AddressNetworkOrder;
        public ulong Zero;
    }

    public static void WriteEvent(byte* entry, uint events, ulong data)
    {
        *(uint*)entry = events;
        *(ulong*)(entry + EpollDataOffset) = data;
    }

    public static (uint Events, ulong Data) ReadEvent(byte* entries, int index)
    {
        var entry = entries + (index * EpollEventSize);
        return (*(uint*)entry, *(ulong*)(entry + EpollDataOffset));
    }

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    public static partial int EpollControl(int epoll, int operation, int fd, byte* entry);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    public static partial int EpollWait(int epoll, byte* entries, int maximum, int timeoutMilliseconds);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static partial int Bind(int fd, SocketAddress* address, int length);

    [LibraryImport("libc", EntryPoint = "listen", SetLastError = true)]
    public static partial int Listen(int fd, int backlog);

    [LibraryImport("libc", EntryPoint = "accept4", SetLastError = true)]
    public static partial int Accept(int fd, SocketAddress* address, int* length, int flags);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    public static partial int Connect(int fd, SocketAddress* address, int length);

    // The two calls of the data path are made without telling the runtime, which saves it a state change on each. They never block
    // (the sockets are non-blocking), so a collection waits for them no longer than a few microseconds.
    [LibraryImport("libc", EntryPoint = "recv")]
    [SuppressGCTransition]
    private static partial nint ReceiveRaw(int fd, byte* buffer, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "send")]
    [SuppressGCTransition]
    private static partial nint SendRaw(int fd, byte* buffer, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "__errno_location")]
    [SuppressGCTransition]
    private static partial int* ErrnoLocation();

    /// <returns>Bytes, 0 at the end of the stream, or a negative errno.</returns>
    public static int Receive(int fd, byte* buffer, nint length, int flags)
    {
        var result = ReceiveRaw(fd, buffer, length, flags);
        return result >= 0 ? (int)result : -*ErrnoLocation();
    }

    /// <returns>Bytes, or a negative errno.</returns>
    public static int Send(int fd, byte* buffer, nint length)
    {
        var result = SendRaw(fd, buffer, length, MsgNoSignal);
        return result >= 0 ? (int)result : -*ErrnoLocation();
    }

    [LibraryImport("libc", EntryPoint = "getsockname", SetLastError = true)]
    public static partial int GetSocketName(int fd, SocketAddress* address, int* length);

    [LibraryImport("libc", EntryPoint = "signal")]
    public static partial nint Signal(int number, nint handler);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int fd, byte* buffer, nint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(int fd, byte* buffer, nint length);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "dup", SetLastError = true)]
    public static partial int Duplicate(int fd);

    [LibraryImport("libc", EntryPoint = "shutdown", SetLastError = true)]
    public static partial int Shutdown(int fd, int how);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static partial int SetOption(int fd, int level, int name, int* value, int length);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static partial int SetOption(int fd, int level, int name, byte* value, int length);

    /// <summary>
    /// Congestion control for connections that never leave the machine: Reno in place of whatever the machine uses for the
    /// network. There is no congestion on loopback, and a pacing algorithm such as BBR costs about a microsecond a request there.
    /// </summary>
    public static void UseLocalCongestionControl(int fd)
    {
        fixed (byte* name = "reno"u8)
        {
            // Always compiled in and always allowed; should it fail nevertheless, the machine's own does.
            _ = SetOption(fd, IpProtoTcp, TcpCongestion, name, 4);
        }
    }

    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    public static partial int GetOption(int fd, int level, int name, int* value, int* length);

    public static int Errno => Marshal.GetLastPInvokeError();
}
