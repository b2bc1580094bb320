using System.Globalization;

namespace Weir.Telemetry.Scraping;

/// <summary>One line of Prometheus' text format.</summary>
public readonly record struct Sample(string Name, IReadOnlyDictionary<string, string> Labels, double Value);

/// <summary>Reads Prometheus' text format 0.0.4. Lines that are not understood are skipped: a scrape is never worth failing for one.</summary>
public static class PrometheusTextReader
{
    /// <param name="wanted">Only these metrics are taken apart; the rest costs next to nothing.</param>
    public static IEnumerable<Sample> Read(string text, IReadOnlySet<string> wanted)
    {
        foreach (var line in text.Split('\n'))
        {
            if (line.Length == 0 || line[0] == '#')
            {
                continue;
            }

            var nameEnd = line.AsSpan().IndexOfAny('{', ' ');
            if (nameEnd <= 0 || !wanted.Contains(line[..nameEnd]))
            {
                continue;
            }

            if (TryParse(line, nameEnd, out var sample))
            {
                yield return sample;
            }
        }
    }

    static bool TryParse(string line, int nameEnd, out Sample sample)
    {
        sample = default;
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        var at = nameEnd;
        if (line[at] == '{')
        {
            at++;
            while (at < line.Length && line[at] != '}')
            {
                var equals = line.IndexOf("=\"", at, StringComparison.Ordinal);
                if (equals < 0)
                {
                    return false;
                }

                var name = line[at..equals].Trim();
                at = equals + 2;
                var value = new System.Text.StringBuilder();
                while (at < line.Length && line[at] != '"')
                {
                    if (line[at] == '\\' && at + 1 < line.Length)
                    {
                        at++;
                        value.Append(line[at] == 'n' ? '\n' : line[at]);
                    }
                    else
                    {
                        value.Append(line[at]);
                    }

                    at++;
                }

                labels[name] = value.ToString();
                at++;
                if (at < line.Length && line[at] == ',')
                {
                    at++;
                }
            }

            at++;
        }

        var rest = at < line.Length ? line[at..].Trim().Split(' ')[0] : "";
        if (!double.TryParse(rest, NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
        {
            return false;
        }

        sample = new Sample(line[..nameEnd], labels, number);
        return true;
    }
}
