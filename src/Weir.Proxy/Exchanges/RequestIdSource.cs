using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Exchanges;

/// <summary>Values for <c>x-request-id</c>: UUIDs of version 4 from a fast generator (xoshiro256**), unique but not secret.</summary>
sealed class RequestIdSource
{
    /// <summary>Both digits of every byte.</summary>
    static readonly ushort[] Pairs = [.. Enumerable.Range(0, 256).Select(b => (ushort)(Digit(b >> 4) | (Digit(b & 15) << 8)))];

    readonly ulong[] state = new ulong[4];

    static int Digit(int value) => value < 10 ? '0' + value : 'a' + value - 10;

    /// <summary>Seeded by the operating system: two proxies never give the same sequence, whatever their process ids.</summary>
    public RequestIdSource()
    {
        do
        {
            Entropy.Fill(MemoryMarshal.AsBytes(state.AsSpan()));
        }
        while (!state.AsSpan().ContainsAnyExcept(0ul));
    }

    /// <param name="seed">Of a sequence that is to come again.</param>
    public RequestIdSource(ulong seed)
    {
        for (var i = 0; i < 4; i++)
        {
            // splitmix64 spreads a small seed over the state.
            seed += 0x9e3779b97f4a7c15;
            var z = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
            z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
            state[i] = z ^ (z >> 31);
        }
    }

    public ulong NextNumber()
    {
        var result = ulong.RotateLeft(state[1] * 5, 7) * 9;
        var t = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= t;
        state[3] = ulong.RotateLeft(state[3], 45);
        return result;
    }

    /// <summary>Writes 24 characters: 16 bytes in base64 (RFC 6455 section 4.1).</summary>
    public void NextWebSocketKey(Span<byte> target)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, NextNumber());
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], NextNumber());
        System.Buffers.Text.Base64.EncodeToUtf8(bytes, target, out _, out _);
    }

    /// <summary>Writes 36 characters.</summary>
    public void Next(Span<byte> target)
    {
        var high = (NextNumber() & 0xffffffffffff0fff) | 0x4000;
        var low = (NextNumber() & 0x3fffffffffffffff) | 0x8000000000000000;
        Write(target, (uint)(high >> 32), 4);
        target[8] = (byte)'-';
        Write(target[9..], (uint)(high >> 16), 2);
        target[13] = (byte)'-';
        Write(target[14..], (uint)high, 2);
        target[18] = (byte)'-';
        Write(target[19..], (uint)(low >> 48), 2);
        target[23] = (byte)'-';
        Write(target[24..], (uint)(low >> 16), 4);
        Write(target[32..], (uint)low, 2);
    }

    /// <summary>The lowest bytes of a number, in hexadecimal.</summary>
    static void Write(Span<byte> target, uint number, int bytes)
    {
        for (var i = 0; i < bytes; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(target[(i * 2)..], Pairs[(byte)(number >> ((bytes - 1 - i) * 8))]);
        }
    }
}
