using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weir.Proxy.Reactor;

/// <summary>An event of a watched descriptor.</summary>
/// <param name="Key">What it was watched under.</param>
readonly record struct KernelEvent(ulong Key, SocketEvents Events);

[Flags]
enum SocketEvents : byte
{
    None = 0,
    Readable = 1,
    Writable = 2,

    /// <summary>The peer has sent its last byte.</summary>
    PeerDone = 4,

    /// <summary>The connection was reset, or both directions are closed.</summary>
    Broken = 8,
}

/// <summary>
/// All that an event loop asks of the operating system: sockets, the clock and waiting. One for each loop. Production has
/// <see cref="EpollKernel"/>; a test can stand in the kernel's place. Results are counts, or negative errno values
/// (<see cref="Native"/>); nothing throws and nothing blocks but <see cref="Wait"/>.
/// </summary>
abstract unsafe class Kernel : IDisposable
{
    GCHandle handle;

    /// <summary>By which a callback of native code finds it again (<see cref="Of"/>); good until it is disposed of.</summary>
    public nint Handle
    {
        get
        {
            if (!handle.IsAllocated)
            {
                handle = GCHandle.Alloc(this);
            }

            return GCHandle.ToIntPtr(handle);
        }
    }

    public static Kernel Of(nint handle) => Unsafe.As<Kernel>(GCHandle.FromIntPtr(handle).Target!);

    /// <summary>Milliseconds of a clock that never goes back.</summary>
    public abstract long Milliseconds { get; }

    /// <summary>Waits for events, for so long at most.</summary>
    /// <returns>How many there are.</returns>
    public abstract int Wait(KernelEvent[] events, int timeoutMilliseconds);

    /// <summary>Ends a wait, or the next one. From any thread.</summary>
    public abstract void Wake();

    /// <summary>Events of a connected or connecting socket from now on, each told once (edge-triggered).</summary>
    /// <returns>0, or a negative errno.</returns>
    public abstract int Watch(int fd, ulong key);

    /// <summary>As long as connections are waiting to be accepted, each wait tells so (level-triggered).</summary>
    public abstract int WatchAccept(int fd, ulong key);

    /// <summary>No more events of it, though it stays open.</summary>
    public abstract void Forget(int fd);

    /// <summary>A new TCP socket.</summary>
    public abstract int Open();

    /// <returns>0 when it is done, <c>-EINPROGRESS</c> when an event will tell, or another negative errno.</returns>
    public abstract int Connect(int fd, SocketAddressV4 address);

    /// <returns>What came of connecting: 0 or a negative errno.</returns>
    public abstract int ConnectResult(int fd);

    public abstract int Accept(int fd, out SocketAddressV4 peer);

    /// <returns>Bytes, 0 at the end of the stream, or a negative errno.</returns>
    public abstract int Receive(int fd, byte* buffer, int length);

    /// <summary>Copies what has come without taking it.</summary>
    public abstract int Peek(int fd, byte* buffer, int length);

    /// <returns>Bytes, or a negative errno.</returns>
    public abstract int Send(int fd, byte* buffer, int length);

    public abstract void ShutdownWrite(int fd);

    public abstract void Close(int fd);

    /// <summary>Closes so that the peer is told of an abort instead of an orderly end.</summary>
    public abstract void Reset(int fd);

    public abstract SocketAddressV4 LocalAddress(int fd);

    public virtual void Dispose()
    {
        if (handle.IsAllocated)
        {
            handle.Free();
        }
    }
}
