namespace Weir.Proxy.Http2;

/// <summary>
/// What the peer may still send on a stream or a connection. What has been used up is given back when it is half of the window, so that few
/// frames have to say so.
/// </summary>
struct ReceiveWindow(int initialSize)
{
    FlowWindow window = new(initialSize);
    int used;

    /// <summary>For what has come, padding included; false when it is more than was allowed.</summary>
    public bool TryTake(int length) => window.TryTake(length);

    /// <summary>So much of what has come is used up.</summary>
    /// <param name="size">Of the window as it was asked for.</param>
    /// <returns>By how much the peer is to be told that the window opens; 0 for not yet.</returns>
    public int Use(int count, int size)
    {
        used += count;
        if (used < size / 2)
        {
            return 0;
        }

        var increment = used;
        used = 0;
        window.TryAdd(increment);
        return increment;
    }
}
