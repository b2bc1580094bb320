using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Weir.Proxy.Simulation;

/// <summary>What a search has found: of each kind of failure how often it came, when first, and the shortest course that leads to it.</summary>
sealed class Failures
{
    const int MaximumKinds = 12;

    readonly Dictionary<string, Kind> kinds = [];

    record struct Kind(int Count, TimeSpan First, string Shortest);

    public bool IsEmpty => kinds.Count == 0;

    public void Add(string failure, TimeSpan at)
    {
        // Numbers differ from course to course; the first line without them is the kind.
        var kind = Regex.Replace(failure.Split('\n')[0], "'.'|[0-9]+|: [^:]*$", "_");
        if (kinds.TryGetValue(kind, out var known))
        {
            kinds[kind] = known with { Count = known.Count + 1, Shortest = failure.Length < known.Shortest.Length ? failure : known.Shortest };
        }
        else if (kinds.Count < MaximumKinds)
        {
            kinds[kind] = new Kind(1, at, failure);
        }
    }

    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var (_, (count, first, shortest)) in kinds.OrderByDescending(k => k.Value.Count))
        {
            text.Append(CultureInfo.InvariantCulture, $"{count} times, first after {first.TotalSeconds:f2} s: {shortest}\n");
        }

        return text.ToString();
    }
}
