using System.Globalization;
using System.Text;

namespace Weir.Proxy.Simulation;

/// <summary>What happened last, kept cheaply and written out only on failure.</summary>
sealed class Trace(Func<long> clock)
{
    /// <summary>Enough for what led to most failures; for a seed that is looked into, more.</summary>
    static readonly int Kept = Environment.GetEnvironmentVariable("WEIR_SIMULATION_SEED") is null ? 400 : 100_000;

    readonly Entry[] entries = new Entry[Kept];
    int count;

    record struct Entry(long Time, string What, long A, long B, string? Text);

    /// <summary>Of all that has happened: two courses that are the same have the same.</summary>
    public ulong Fingerprint { get; private set; } = 14695981039346656037;

    public void Add(string what, long a = 0, long b = 0, string? text = null)
    {
        var time = clock();
        entries[count++ % Kept] = new Entry(time, what, a, b, text);
        foreach (var part in (ReadOnlySpan<long>)[time, what.Length, a, b])
        {
            Fingerprint = (Fingerprint ^ (ulong)part) * 1099511628211;
        }
    }

    public override string ToString()
    {
        var text = new StringBuilder();
        for (var i = Math.Max(0, count - Kept); i < count; i++)
        {
            var (time, what, a, b, more) = entries[i % Kept];
            text.Append(CultureInfo.InvariantCulture, $"{time,7} {what} {a} {b} {more}\n");
        }

        return text.ToString();
    }
}

/// <summary>An invariant does not hold.</summary>
class InvariantException(string message) : Exception(message);

/// <summary>Something is left when everything is over.</summary>
sealed class LeakException(string message) : InvariantException(message);
