namespace Weir.Proxy.Http2;

/// <summary>Integers with a prefix of some bits (RFC 7541 section 5.1).</summary>
static class HpackInteger
{
    /// <summary>
    /// Octets after the prefix. Four hold 28 bits, more than any length or table size here; what is longer is refused, also where it
    /// is padded with zeros.
    /// </summary>
    const int MaximumContinuation = 4;

    /// <summary>The most octets that an integer takes when written.</summary>
    public const int MaximumSize = 6;

    public static bool TryRead(ReadOnlySpan<byte> block, ref int at, int prefixBits, out int value)
    {
        value = 0;
        if ((uint)at >= (uint)block.Length)
        {
            return false;
        }

        var mask = (1 << prefixBits) - 1;
        value = block[at++] & mask;
        if (value < mask)
        {
            return true;
        }

        for (var shift = 0; shift < 7 * MaximumContinuation && at < block.Length; shift += 7)
        {
            var octet = block[at++];
            value += (octet & 0x7f) << shift;
            if (octet < 0x80)
            {
                return true;
            }
        }

        return false;
    }

    public static int Size(int value, int prefixBits)
    {
        var mask = (1 << prefixBits) - 1;
        if (value < mask)
        {
            return 1;
        }

        var size = 2;
        for (value -= mask; value >= 0x80; value >>= 7)
        {
            size++;
        }

        return size;
    }

    /// <summary>Writes with <paramref name="pattern"/> in the bits before the prefix; false if there is no room.</summary>
    public static bool TryWrite(Span<byte> target, ref int at, int value, int prefixBits, byte pattern)
    {
        var mask = (1 << prefixBits) - 1;
        if (value < mask)
        {
            if ((uint)at >= (uint)target.Length)
            {
                return false;
            }

            target[at++] = (byte)(pattern | value);
            return true;
        }

        if (target.Length - at < Size(value, prefixBits))
        {
            return false;
        }

        target[at++] = (byte)(pattern | mask);
        for (value -= mask; value >= 0x80; value >>= 7)
        {
            target[at++] = (byte)(value | 0x80);
        }

        target[at++] = (byte)value;
        return true;
    }
}
