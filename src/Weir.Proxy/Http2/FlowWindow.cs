namespace Weir.Proxy.Http2;

/// <summary>
/// A flow-control window of a stream or a connection, for what is sent or what is received (RFC 9113 section 5.2). It may be negative
/// after the peer has lowered the initial size (section 6.9.2).
/// </summary>
public struct FlowWindow(int initialSize)
{
    public const int Maximum = int.MaxValue;

    /// <summary>RFC 9113 section 6.9.2.</summary>
    public const int DefaultSize = 65_535;

    public int Size { get; private set; } = initialSize;

    /// <summary>What may be sent now.</summary>
    public readonly int Available => Math.Max(0, Size);

    /// <summary>For WINDOW_UPDATE; false: FLOW_CONTROL_ERROR, beyond the maximum (RFC 9113 section 6.9.1).</summary>
    public bool TryAdd(int increment) => TryAdjust(increment);

    /// <summary>For a change of SETTINGS_INITIAL_WINDOW_SIZE by this much; false: FLOW_CONTROL_ERROR (RFC 9113 section 6.9.2).</summary>
    public bool TryAdjust(int difference)
    {
        var size = (long)Size + difference;
        if (size is > Maximum or < int.MinValue)
        {
            return false;
        }

        Size = (int)size;
        return true;
    }

    /// <summary>
    /// For a frame of this length, padding included; false: it is larger than the window, FLOW_CONTROL_ERROR if received. An empty frame
    /// always passes (RFC 9113 section 6.9).
    /// </summary>
    public bool TryTake(int length)
    {
        if (length > Available)
        {
            return false;
        }

        Size -= length;
        return true;
    }
}
