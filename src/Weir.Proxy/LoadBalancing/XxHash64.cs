using System.Buffers.Binary;
using System.Numerics;

namespace Weir.Proxy.LoadBalancing;

/// <summary>
/// The 64-bit xxHash, with which Envoy places hosts on rings and keys on hosts: using the same one sends a key to the same host
/// through either. (The package that has it cannot be restored here.)
/// </summary>
public static class XxHash64
{
    const ulong P1 = 11400714785074694791;
    const ulong P2 = 14029467366897019727;
    const ulong P3 = 1609587929392839161;
    const ulong P4 = 9650029242287828579;
    const ulong P5 = 2870177450012600261;

    public static ulong Hash(ReadOnlySpan<byte> bytes, ulong seed = 0)
    {
        var length = (ulong)bytes.Length;
        ulong hash;
        if (bytes.Length >= 32)
        {
            ulong a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
            while (bytes.Length >= 32)
            {
                a = Round(a, Read64(bytes));
                b = Round(b, Read64(bytes[8..]));
                c = Round(c, Read64(bytes[16..]));
                d = Round(d, Read64(bytes[24..]));
                bytes = bytes[32..];
            }

            hash = BitOperations.RotateLeft(a, 1) + BitOperations.RotateLeft(b, 7) + BitOperations.RotateLeft(c, 12) + BitOperations.RotateLeft(d, 18);
            hash = Merge(Merge(Merge(Merge(hash, a), b), c), d);
        }
        else
        {
            hash = seed + P5;
        }

        hash += length;
        while (bytes.Length >= 8)
        {
            hash = (BitOperations.RotateLeft(hash ^ Round(0, Read64(bytes)), 27) * P1) + P4;
            bytes = bytes[8..];
        }

        if (bytes.Length >= 4)
        {
            hash = (BitOperations.RotateLeft(hash ^ (BinaryPrimitives.ReadUInt32LittleEndian(bytes) * P1), 23) * P2) + P3;
            bytes = bytes[4..];
        }

        foreach (var b in bytes)
        {
            hash = BitOperations.RotateLeft(hash ^ (b * P5), 11) * P1;
        }

        hash = (hash ^ (hash >> 33)) * P2;
        hash = (hash ^ (hash >> 29)) * P3;
        return hash ^ (hash >> 32);
    }

    static ulong Read64(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt64LittleEndian(bytes);

    static ulong Round(ulong accumulator, ulong input) => BitOperations.RotateLeft(accumulator + (input * P2), 31) * P1;

    static ulong Merge(ulong hash, ulong accumulator) => ((hash ^ Round(0, accumulator)) * P1) + P4;
}
