using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Weir.Proxy.Http2;

/// <summary>
/// Hashes for looking up fields: of the length and of up to 24 bytes from the start, the middle and the end. Equal hashes are always
/// compared byte by byte, over a table of bounded size, so that a peer that makes them collide gains nothing.
/// </summary>
static class HpackHash
{
    const ulong CaseBits = 0x2020202020202020;

    /// <summary>The same for upper and lower case.</summary>
    public static uint OfName(ReadOnlySpan<byte> name) => (uint)(Mix(Fold(name, CaseBits)) >> 32);

    public static uint OfField(uint nameHash, ReadOnlySpan<byte> value) => (uint)(Mix(Fold(value, 0) + nameHash) >> 32);

    static ulong Mix(ulong hash)
    {
        hash ^= hash >> 29;
        hash *= 0x9e3779b97f4a7c15;
        return hash ^ (hash >> 17);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Fold(ReadOnlySpan<byte> text, ulong set)
    {
        var length = text.Length;
        ulong first, last;
        if (length >= 8)
        {
            first = BinaryPrimitives.ReadUInt64LittleEndian(text) | set;
            last = BinaryPrimitives.ReadUInt64LittleEndian(text[(length - 8)..]) | set;
            if (length > 16)
            {
                first ^= BitOperations.RotateLeft(BinaryPrimitives.ReadUInt64LittleEndian(text[((length / 2) - 4)..]) | set, 21);
            }
        }
        else if (length >= 4)
        {
            first = BinaryPrimitives.ReadUInt32LittleEndian(text) | set;
            last = BinaryPrimitives.ReadUInt32LittleEndian(text[(length - 4)..]) | set;
        }
        else
        {
            first = length > 0 ? text[0] | set : 0;
            last = length > 0 ? (((ulong)text[length / 2] << 8) | text[length - 1]) | set : 0;
        }

        return ((first + (ulong)length) * 0xff51afd7ed558ccd) ^ (BitOperations.RotateLeft(last, 32) * 0xc4ceb9fe1a85ec53);
    }
}
