namespace Weir.Xds.Http2;

/// <summary>
/// HPACK's Huffman code (RFC 7541 appendix B). The code is canonical: within a length, codes ascend with their symbols, and each length
/// goes on where the one before it ended. So the lengths alone describe it.
/// </summary>
static class HuffmanCode
{
    const int LongestCode = 30;
    const int EndOfString = 256;

    /// <summary>The length in bits of each symbol's code, the end of string being the last.</summary>
    static ReadOnlySpan<byte> Lengths =>
    [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
        28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
        5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
        7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
        24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
        23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
        21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
        26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
    ];

    /// <summary>Symbols by length, then by value.</summary>
    static readonly ushort[] Symbols = [.. Enumerable.Range(0, EndOfString + 1).Select(s => (ushort)s).OrderBy(s => Lengths[s]).ThenBy(s => s)];

    /// <summary>Of each length: its first code, and where that is in <see cref="Symbols"/>.</summary>
    static readonly (int FirstCode, int Count, int Start)[] Table = MakeTable();

    static (int FirstCode, int Count, int Start)[] MakeTable()
    {
        var table = new (int FirstCode, int Count, int Start)[LongestCode + 1];
        var (code, start) = (0, 0);
        for (var length = 1; length <= LongestCode; length++)
        {
            code <<= 1;
            var count = Lengths.Count((byte)length);
            table[length] = (code, count, start);
            code += count;
            start += count;
        }

        return table;
    }

    /// <returns>False when the input is no such code, or the target is too small.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> input, Span<byte> target, out int written)
    {
        written = 0;
        var (code, length) = (0, 0);
        foreach (var octet in input)
        {
            for (var bit = 7; bit >= 0; bit--)
            {
                code = (code << 1) | ((octet >> bit) & 1);
                length++;
                if (length > LongestCode)
                {
                    return false;
                }

                var (first, count, start) = Table[length];
                if (code - first < count && code >= first)
                {
                    var symbol = Symbols[start + code - first];
                    if (symbol == EndOfString || written == target.Length)
                    {
                        return false;
                    }

                    target[written++] = (byte)symbol;
                    (code, length) = (0, 0);
                }
            }
        }

        // What is left is padding: less than an octet, and all ones.
        return length < 8 && code == (1 << length) - 1;
    }
}
