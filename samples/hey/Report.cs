using System.Globalization;
using System.Text;

namespace Weir.Samples.Hey;

/// <summary>One response: when it was asked for, how long it took, what it was.</summary>
readonly record struct Result(TimeSpan Offset, TimeSpan Duration, int Status, long Bytes, string? Error);

/// <summary>The report, laid out as hey's, so that scripts which read it go on working.</summary>
static class Report
{
    /// <summary>Results beyond this many are counted but not kept for the percentiles.</summary>
    public const int MaximumKept = 1_000_000;

    public static string Csv(IEnumerable<Result> results)
    {
        var text = new StringBuilder("response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n");
        foreach (var r in results.Where(r => r.Error is null))
        {
            text.Append(CultureInfo.InvariantCulture, $"{r.Duration.TotalSeconds:0.0000},0,0,0,{r.Duration.TotalSeconds:0.0000},0,{r.Status},{r.Offset.TotalSeconds:0.0000}\n");
        }

        return text.ToString();
    }

    public static string Summary(List<Result> results, TimeSpan total)
    {
        var text = new StringBuilder();
        var answered = results.Where(r => r.Error is null).Select(r => r.Duration.TotalSeconds).Order().ToList();
        if (answered.Count > 0)
        {
            WriteNumbers(text, results, answered, total);
            WriteHistogram(text, answered);
            WriteDistribution(text, answered);
            text.Append("\nStatus code distribution:\n");
            foreach (var group in results.Where(r => r.Error is null).GroupBy(r => r.Status).OrderBy(g => g.Key))
            {
                text.Append(CultureInfo.InvariantCulture, $"  [{group.Key}]\t{group.Count()} responses\n");
            }
        }

        var errors = results.Where(r => r.Error is not null).GroupBy(r => r.Error).ToList();
        if (errors.Count > 0)
        {
            text.Append("\nError distribution:\n");
            foreach (var group in errors)
            {
                text.Append(CultureInfo.InvariantCulture, $"  [{group.Count()}]\t{group.Key}\n");
            }
        }

        return text.ToString();
    }

    static void WriteNumbers(StringBuilder text, List<Result> results, List<double> answered, TimeSpan total)
    {
        var bytes = results.Sum(r => r.Bytes);
        text.Append(CultureInfo.InvariantCulture, $"\nSummary:\n  Total:\t{total.TotalSeconds:0.0000} secs\n");
        text.Append(CultureInfo.InvariantCulture, $"  Slowest:\t{answered[^1]:0.0000} secs\n  Fastest:\t{answered[0]:0.0000} secs\n");
        text.Append(CultureInfo.InvariantCulture, $"  Average:\t{answered.Average():0.0000} secs\n");
        text.Append(CultureInfo.InvariantCulture, $"  Requests/sec:\t{results.Count / total.TotalSeconds:0.0000}\n\n");
        text.Append(CultureInfo.InvariantCulture, $"  Total data:\t{bytes} bytes\n  Size/request:\t{bytes / answered.Count} bytes\n");
    }

    static void WriteHistogram(StringBuilder text, List<double> answered)
    {
        const int buckets = 10;
        const int width = 40;
        var counts = new int[buckets + 1];
        var step = (answered[^1] - answered[0]) / buckets;
        foreach (var seconds in answered)
        {
            counts[step == 0 ? 0 : Math.Min(buckets, (int)Math.Ceiling((seconds - answered[0]) / step))]++;
        }

        text.Append("\nResponse time histogram:\n");
        for (var i = 0; i <= buckets; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {answered[0] + (step * i):0.000} [{counts[i]}]\t|{new string('■', counts[i] * width / counts.Max())}\n");
        }
    }

    static void WriteDistribution(StringBuilder text, List<double> answered)
    {
        text.Append("\n\nLatency distribution:\n");
        foreach (var percent in new[] { 10, 25, 50, 75, 90, 95, 99 })
        {
            text.Append(CultureInfo.InvariantCulture, $"  {percent}% in {answered[Math.Min(answered.Count - 1, answered.Count * percent / 100)]:0.0000} secs\n");
        }
    }
}
