using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Weir.Proxy.Http2;

/// <summary>The static Huffman code of header strings (RFC 7541 section 5.2 and appendix B).</summary>
public static class Huffman
{
    /// <summary>The bits are no string of the code: EOS within it, or padding that is too long or is not all ones.</summary>
    public const int Malformed = -1;

    /// <summary>The decoded string is longer than the target.</summary>
    public const int TargetTooSmall = -2;

    /// <summary>The bytes that <paramref name="text"/> takes when encoded.</summary>
    public static int EncodedLength(ReadOnlySpan<byte> text)
    {
        var lengths = HuffmanCode.Lengths;
        long bits = 0;
        foreach (var symbol in text)
        {
            bits += lengths[symbol];
        }

        return (int)((bits + 7) >> 3);
    }

    /// <summary>Encodes into a target that holds at least <see cref="EncodedLength"/> bytes; returns how many were written.</summary>
    public static int Encode(ReadOnlySpan<byte> text, Span<byte> target)
    {
        var lengths = HuffmanCode.Lengths;
        var codes = HuffmanCode.Codes;
        ulong bits = 0;
        var count = 0;
        var written = 0;
        foreach (var symbol in text)
        {
            // Fewer than 32 bits wait here, and a code has at most 30.
            bits = (bits << lengths[symbol]) | codes[symbol];
            count += lengths[symbol];
            if (count >= 32)
            {
                count -= 32;
                BinaryPrimitives.WriteUInt32BigEndian(target[written..], (uint)(bits >> count));
                written += 4;
            }
        }

        // Padded to a whole byte with ones, the beginning of EOS.
        var padding = -count & 7;
        bits = (bits << padding) | ((1UL << padding) - 1);
        for (count += padding; count > 0;)
        {
            count -= 8;
            target[written++] = (byte)(bits >> count);
        }

        return written;
    }

    /// <summary>Returns the length of the decoded string, <see cref="Malformed"/> or <see cref="TargetTooSmall"/>.</summary>
    public static int Decode(ReadOnlySpan<byte> source, Span<byte> target)
    {
        var table = HuffmanCode.Pairs;
        ulong bits = 0; // Left-aligned; zeros after the bits that are there.
        var available = 0;
        var at = 0;
        var written = 0;
        while (true)
        {
            Fill(source, ref at, ref bits, ref available);
            var entry = table[bits >> (64 - HuffmanCode.PairBits)];

            // All bits of the entry are there: one symbol or two without a branch on which. A second byte that is none is overwritten.
            while (available >= HuffmanCode.PairBits && written + 1 < target.Length && entry != 0)
            {
                target[written + 1] = (byte)(entry >> 8);
                target[written] = (byte)entry;
                written += (int)(entry >> 20) & 0x0f;
                var consumed = (int)(entry >> 24);
                bits <<= consumed;
                available -= consumed;
                entry = table[bits >> (64 - HuffmanCode.PairBits)];
            }

            if (available < 32 && at < source.Length)
            {
                continue;
            }

            var length = (int)(entry >> 16) & 0x0f;
            var symbol = length != 0 ? (int)(byte)entry : HuffmanCode.FindLong((uint)(bits >> 34), out length);
            if (length > available)
            {
                return IsPadding(bits, available) ? written : Malformed;
            }

            if (symbol == HuffmanCode.EndOfString)
            {
                return Malformed;
            }

            if (written == target.Length)
            {
                return TargetTooSmall;
            }

            target[written++] = (byte)symbol;
            bits <<= length;
            available -= length;
        }
    }

    /// <summary>Returns the length of the decoded string, or <see cref="Malformed"/>, without decoding it anywhere.</summary>
    public static int DecodedLength(ReadOnlySpan<byte> source)
    {
        var table = HuffmanCode.Pairs;
        ulong bits = 0;
        var available = 0;
        var at = 0;
        var count = 0;
        while (true)
        {
            Fill(source, ref at, ref bits, ref available);
            var entry = table[bits >> (64 - HuffmanCode.PairBits)];
            var length = (int)(entry >> 16) & 0x0f;
            var symbol = length != 0 ? (int)(byte)entry : HuffmanCode.FindLong((uint)(bits >> 34), out length);
            if (length > available)
            {
                return IsPadding(bits, available) ? count : Malformed;
            }

            if (symbol == HuffmanCode.EndOfString)
            {
                return Malformed;
            }

            count++;
            bits <<= length;
            available -= length;
        }
    }

    /// <summary>Keeps at least as many bits as the longest code has, until the source ends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Fill(ReadOnlySpan<byte> source, ref int at, ref ulong bits, ref int available)
    {
        if (available >= 32)
        {
            return;
        }

        if (source.Length - at >= 4)
        {
            bits |= (ulong)BinaryPrimitives.ReadUInt32BigEndian(source[at..]) << (32 - available);
            at += 4;
            available += 32;
            return;
        }

        for (; at < source.Length; at++, available += 8)
        {
            bits |= (ulong)source[at] << (56 - available);
        }
    }

    /// <summary>What is left is fewer than eight bits, all ones.</summary>
    static bool IsPadding(ulong bits, int available) => available < 8 && bits == ~(ulong.MaxValue >> available);
}
