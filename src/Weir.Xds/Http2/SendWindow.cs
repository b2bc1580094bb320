namespace Weir.Xds.Http2;

/// <summary>How much the peer lets us send, on the connection and on its one stream (RFC 9113 section 5.2). Not for several threads.</summary>
sealed class SendWindow
{
    public const int Initial = 65_535;

    long connection = Initial;
    long stream = Initial;
    long peerInitial = Initial;

    /// <summary>At most this much, as far as both windows allow.</summary>
    public int Take(int wanted)
    {
        var size = (int)Math.Max(0, Math.Min(wanted, Math.Min(connection, stream)));
        connection -= size;
        stream -= size;
        return size;
    }

    /// <exception cref="InvalidDataException">The peer may not grow it so.</exception>
    public void Grow(bool isConnection, int by)
    {
        ref var window = ref isConnection ? ref connection : ref stream;
        window += by > 0 ? by : throw new InvalidDataException("the control plane's WINDOW_UPDATE is of 0 bytes");
        Check(window);
    }

    /// <summary>SETTINGS_INITIAL_WINDOW_SIZE: moves the stream's window by the difference, below zero too.</summary>
    public void ChangeInitial(uint size)
    {
        Check(size);
        stream += size - peerInitial;
        Check(stream);
        peerInitial = size;
    }

    static void Check(long window)
    {
        if (window > int.MaxValue)
        {
            throw new InvalidDataException("the control plane's flow-control window is larger than it may be");
        }
    }
}
