namespace Weir.Proxy.Http2;

/// <summary>How large the peer may make its table, and the updates by which it says how large it is (RFC 7541 section 4.2).</summary>
struct HpackTableLimit(int initial)
{
    /// <summary>One for the smallest of several changes, one for the last of them (RFC 7541 section 4.2).</summary>
    const int MaximumUpdates = 2;

    /// <summary>What the peer may set at the moment, and the lowest that this has been since the last block.</summary>
    int limit = initial;
    int lowestLimit = initial;

    public void Set(int size)
    {
        limit = size;
        lowestLimit = Math.Min(lowestLimit, size);
    }

    /// <summary>Carries out the updates that a block begins with.</summary>
    /// <returns>False when one is too large, or one that has to come did not.</returns>
    public bool TryReadUpdates(ReadOnlySpan<byte> block, ref int at, HpackDynamicTable table)
    {
        for (var count = 0; at < block.Length && (block[at] & 0xe0) == 0x20; count++)
        {
            if (count == MaximumUpdates || !HpackInteger.TryRead(block, ref at, 5, out var size)
                || size > (count == 0 && lowestLimit < table.MaximumSize ? lowestLimit : limit))
            {
                return false;
            }

            table.SetMaximumSize(size);
        }

        // Larger still than what has been allowed since the last block: the update that has to come first did not come.
        if (at == 0 && lowestLimit < table.MaximumSize)
        {
            return false;
        }

        lowestLimit = limit;
        return true;
    }
}
