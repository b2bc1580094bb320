namespace Weir.Proxy.Reactor;

/// <summary>
/// What is known of a socket from its events, which come once for each change (edge-triggered), and from what reading and writing gave
/// since.
/// </summary>
struct Readiness
{
    /// <summary>Something has come that has not been read, as far as is known.</summary>
    public bool IsReadable;
    public bool IsWritable;

    /// <summary>The peer has sent its last byte, some of which may still be unread.</summary>
    public bool IsPeerDone;

    /// <summary>The connection has been reset, or both directions are closed.</summary>
    public bool IsBroken;

    public void Take(SocketEvents events)
    {
        IsPeerDone |= (events & SocketEvents.PeerDone) != 0;
        IsWritable |= (events & SocketEvents.Writable) != 0;
        IsReadable |= (events & SocketEvents.Readable) != 0;
    }

    /// <param name="result">Bytes read, 0 for the end, or a negative errno.</param>
    /// <param name="mayReadMore">A short read means that the kernel has no more, of which the next event will tell.</param>
    public void OnReceived(int result, bool mayReadMore)
    {
        if (result >= 0)
        {
            // After the peer's last byte there is no next event.
            IsReadable = mayReadMore || IsPeerDone;
        }
        else if (result == -Native.Eagain)
        {
            IsReadable = false;
        }
        else
        {
            IsPeerDone = IsBroken = true;
        }
    }
}
