namespace Weir.Proxy.Listeners;

/// <summary>Values for <c>x-request-id</c>: UUIDs of version 4 from a fast generator (xoshiro256**), unique but not secret.</summary>
sealed class RequestIdSource
{
    readonly ulong[] state = new ulong[4];

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

    /// <summary>Writes 36 characters.</summary>
    public void Next(Span<byte> target)
    {
        var high = (NextNumber() & 0xffffffffffff0fff) | 0x4000;
        var low = (NextNumber() & 0x3fffffffffffffff) | 0x8000000000000000;
        var at = 0;
        for (var i = 0; i < 32; i++)
        {
            if (i is 8 or 12 or 16 or 20)
            {
                target[at++] = (byte)'-';
            }

            var word = i < 16 ? high : low;
            target[at++] = "0123456789abcdef"u8[(int)(word >> (60 - ((i & 15) * 4))) & 15];
        }
    }
}
