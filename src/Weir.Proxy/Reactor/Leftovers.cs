namespace Weir.Proxy.Reactor;

/// <summary>
/// What still comes on a connection after the last that was sent on it: it is read over until the peer ends it or the time is over, since
/// closing with unread bytes resets the connection, which could take the last answer with it (RFC 9112 section 9.6).
/// </summary>
static class Leftovers
{
    /// <summary>Bytes at a time, and times in a turn: others are let go first.</summary>
    const int PieceBytes = 16 * 1024;
    const int PiecesOfATurn = 16;

    /// <param name="owner">Is called again where there may be more.</param>
    /// <returns>False when no more will come.</returns>
    public static bool ReadOver(TcpSocket socket, EventLoop loop, LoopHandler owner)
    {
        Span<byte> scratch = stackalloc byte[PieceBytes];
        for (var i = 0; i < PiecesOfATurn; i++)
        {
            var read = socket.Receive(scratch);
            if (read <= 0)
            {
                return read == -Native.Eagain;
            }
        }

        loop.Defer(owner);
        return true;
    }
}
