namespace Weir.Proxy.LoadBalancing;

/// <summary>
/// Smooth weighted selection as a fixed, evenly mixed sequence: over any window of consecutive requests each choice is off its
/// exact share by less than one request, over a whole period by none. One shared counter, so this holds across loops as well.
/// </summary>
public sealed class WeightedSchedule
{
    /// <summary>Weights whose sum is larger, after division by their common divisor, are scaled down to it.</summary>
    public const int MaximumPeriod = 10_000;

    readonly ushort[] sequence;
    uint next = uint.MaxValue;

    public WeightedSchedule(IReadOnlyList<uint> weights)
    {
        sequence = Build(Reduce(weights));
    }

    public int Period => sequence.Length;

    public int Next() => At(Interlocked.Increment(ref next));

    /// <summary>The choice of a turn, for those who count by themselves.</summary>
    public int At(uint turn) => sequence[turn % (uint)sequence.Length];

    /// <summary>Each step gives every choice its weight and takes the whole from the one with the most.</summary>
    static ushort[] Build(long[] weights)
    {
        var total = weights.Sum();
        var result = new ushort[total];
        var credit = new long[weights.Length];
        for (var i = 0; i < result.Length; i++)
        {
            var best = 0;
            for (var j = 0; j < weights.Length; j++)
            {
                credit[j] += weights[j];
                if (credit[j] > credit[best])
                {
                    best = j;
                }
            }

            credit[best] -= total;
            result[i] = (ushort)best;
        }

        return result;
    }

    static long[] Reduce(IReadOnlyList<uint> weights)
    {
        long divisor = 0;
        foreach (var weight in weights)
        {
            divisor = Gcd(divisor, weight);
        }

        if (divisor == 0)
        {
            throw new ArgumentException("at least one weight must be positive", nameof(weights));
        }

        var reduced = weights.Select(w => w / divisor).ToArray();
        var total = reduced.Sum();
        return total <= MaximumPeriod ? reduced
            : [.. reduced.Select(w => w == 0 ? 0 : Math.Max(1, w * MaximumPeriod / total))];
    }

    static long Gcd(long a, long b) => b == 0 ? a : Gcd(b, a % b);
}
