namespace Weir.Proxy.Reactor;

/// <summary>What may lie between a socket's bytes and those its user sees: TLS. Never blocks, never throws.</summary>
abstract unsafe class SocketLayer
{
    /// <summary>There is more to read without an event of the socket: bytes already taken from it, or an unfinished read.</summary>
    public abstract bool MayReadMore { get; }

    /// <summary>The socket has more to read than when it was last read to its end.</summary>
    public abstract void OnReadable();

    /// <returns>Bytes, 0 at the end of the stream, or a negative errno; <c>-EAGAIN</c> when it must wait.</returns>
    public abstract int Receive(byte* buffer, int length);

    /// <returns>Bytes, or a negative errno; <c>-EAGAIN</c> when it must wait.</returns>
    public abstract int Send(byte* buffer, int length);

    /// <summary>Says to the peer that no more will be written.</summary>
    public abstract void ShutdownWrite();

    public abstract void Dispose();
}
