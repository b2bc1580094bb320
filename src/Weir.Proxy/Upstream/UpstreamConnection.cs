using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>A connection to an upstream, kept between requests. Its buffer is held only while a response is being read.</summary>
sealed class UpstreamConnection : TimerEntry
{
    /// <summary>Shorter than the idle limits of common servers, so that it is this side that closes.</summary>
    const int IdleMilliseconds = 55_000;

    readonly EventLoop loop;
    readonly Action close;

    public UpstreamConnection(EventLoop loop, AsyncSocket socket, SocketAddressV4 address)
    {
        this.loop = loop;
        close = Close;
        Socket = socket;
        Address = address;
    }

    public AsyncSocket Socket { get; }
    public SocketAddressV4 Address { get; }
    public MessageHead Head { get; } = new();
    public byte[]? Buffer;
    public int Start;
    public int End;

    /// <summary>It has answered before, so the peer may be closing it at this very moment.</summary>
    public bool IsReused { get; private set; }

    public bool Take()
    {
        TimerWheel.Clear(this);
        Socket.OnIdleEvent = null;
        if (Socket.IsStale)
        {
            Close();
            return false;
        }

        IsReused = true;
        return true;
    }

    public bool MakeIdle()
    {
        ReleaseBuffer();
        if (Socket.IsStale)
        {
            return false;
        }

        Socket.OnIdleEvent = close;
        loop.Timers.Set(this, loop.Now + IdleMilliseconds);
        return true;
    }

    public byte[] HoldBuffer()
    {
        if (Buffer is null)
        {
            Buffer = loop.Buffers.Rent();
            Start = End = 0;
        }

        return Buffer;
    }

    public void Close()
    {
        ReleaseBuffer();
        loop.Timers.Remove(this);
        Socket.Close();
    }

    public override void OnDue() => Close();

    void ReleaseBuffer()
    {
        if (Buffer is { } buffer)
        {
            Buffer = null;
            loop.Buffers.Return(buffer);
        }
    }
}
