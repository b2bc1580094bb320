namespace Weir.Proxy.Http2;

/// <summary>
/// The tables of <see cref="Huffman"/>. The code is canonical: codes of one length follow each other in the order of their symbols, so
/// the lengths say everything.
/// </summary>
static class HuffmanCode
{
    public const int EndOfString = 256;

    /// <summary>Wide enough for two of the symbols that text mostly consists of, of 5 and 6 bits; the table takes 8 KiB.</summary>
    public const int PairBits = 11;

    const int MaximumLength = 30;

    /// <summary>The bits of each octet's code (RFC 7541 appendix B). EOS has <see cref="MaximumLength"/>.</summary>
    public static ReadOnlySpan<byte> Lengths =>
    [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
        6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
        13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    ];

    public static readonly uint[] Codes = new uint[257];

    /// <summary>
    /// By the next <see cref="PairBits"/> bits, from the lowest: a byte for one symbol, a byte for a second one, 4 bits for the length of
    /// the first, 4 for how many symbols there are, a byte for the length of all. 0: the code is longer.
    /// </summary>
    public static readonly uint[] Pairs = new uint[1 << PairBits];

    /// <summary>The symbols in the order of their codes.</summary>
    static readonly ushort[] Symbols = new ushort[257];

    /// <summary>By length: the first code beyond those of this length, aligned to <see cref="MaximumLength"/> bits.</summary>
    static readonly uint[] Ends = new uint[MaximumLength + 1];

    /// <summary>By length: what to add to a code to get its place in <see cref="Symbols"/>.</summary>
    static readonly int[] Places = new int[MaximumLength + 1];

    static HuffmanCode()
    {
        uint code = 0;
        var place = 0;
        for (var length = 1; length <= MaximumLength; length++)
        {
            Places[length] = place - (int)code;
            for (var symbol = 0; symbol <= EndOfString; symbol++)
            {
                if (LengthOf(symbol) == length)
                {
                    Symbols[place++] = (ushort)symbol;
                    Codes[symbol] = code++;
                }
            }

            Ends[length] = code << (MaximumLength - length);
            code <<= 1;
        }

        for (uint bits = 0; bits < Pairs.Length; bits++)
        {
            Pairs[bits] = Pair(bits);
        }
    }

    /// <summary>The symbol at the start of 30 bits, whatever its length.</summary>
    public static int FindLong(uint bits, out int length)
    {
        for (length = 5; bits >= Ends[length] && length < MaximumLength;)
        {
            length++;
        }

        return Symbols[Places[length] + (int)(bits >> (MaximumLength - length))];
    }

    static uint Pair(uint bits)
    {
        var first = FindLong(bits << (MaximumLength - PairBits), out var length);
        if (length > PairBits)
        {
            return 0;
        }

        var rest = (bits << length) & ((1u << PairBits) - 1);
        var second = FindLong(rest << (MaximumLength - PairBits), out var secondLength);
        var entry = (uint)first | ((uint)length << 16);
        return length + secondLength > PairBits
            ? entry | (1u << 20) | ((uint)length << 24)
            : entry | ((uint)second << 8) | (2u << 20) | ((uint)(length + secondLength) << 24);
    }

    static int LengthOf(int symbol) => symbol == EndOfString ? MaximumLength : Lengths[symbol];
}
