namespace Weir.Proxy.Simulation;

/// <summary>Everything that is left to chance in a simulation comes from here, so that a seed tells the whole of it.</summary>
sealed class SimulationRandom
{
    ulong state;

    public SimulationRandom(ulong seed)
    {
        // splitmix64: seeds that are close together must not begin alike.
        var z = seed + 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        state = (z ^ (z >> 31)) | 1;
    }

    public ulong Next()
    {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545f4914f6cdd1d;
    }

    public int Below(int limit) => (int)((Next() >> 33) % (uint)limit);

    /// <summary>Both ends are possible.</summary>
    public int Between(int low, int high) => low + Below(high - low + 1);

    public bool Chance(int percent) => Below(100) < percent;

    public bool PerMille(int chance) => Below(1000) < chance;

    public T Pick<T>(params ReadOnlySpan<T> choices) => choices[Below(choices.Length)];

    /// <summary>Mostly small, now and then as large as allowed.</summary>
    public int Skewed(int limit) => limit <= 1 ? limit : Chance(15) ? limit : 1 + Below(Chance(50) ? Math.Min(limit, 12) : limit);
}
