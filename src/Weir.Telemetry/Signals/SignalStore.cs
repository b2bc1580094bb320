using System.Globalization;
using Weir.Telemetry.Scraping;

namespace Weir.Telemetry.Signals;

/// <summary>
/// Short windows of the counters that matter: requests, errors and durations by workload, for each proxy that reports on it. Only
/// what the destination's own proxy says is counted, so no request counts twice.
/// </summary>
public sealed class SignalStore(TimeProvider time) : ISignals
{
    /// <summary>At a scrape a second, ten minutes.</summary>
    const int MaximumSamples = 600;

    static readonly TimeSpan KeepGone = TimeSpan.FromMinutes(10);

    public static readonly IReadOnlySet<string> Metrics =
        new HashSet<string> { "istio_requests_total", "istio_request_duration_milliseconds_bucket" };

    sealed record Counters(DateTimeOffset At, double Total, double Errors, double[] Bounds, double[] Buckets);

    sealed class History
    {
        public Queue<Counters> Samples { get; } = [];
        public DateTimeOffset LastSeen { get; set; }
    }

    readonly Lock gate = new();
    readonly Dictionary<(string Workload, string Target), History> histories = [];
    readonly Dictionary<string, DateTimeOffset> targets = [];
    int rounds;

    /// <summary>Takes in one scrape of one proxy.</summary>
    public void Add(string target, IEnumerable<Sample> samples, DateTimeOffset at)
    {
        var byWorkload = samples.Where(s => s.Labels.GetValueOrDefault("reporter") == "destination")
            .GroupBy(s => $"{s.Labels.GetValueOrDefault("destination_workload_namespace")}/{s.Labels.GetValueOrDefault("destination_workload")}");
        lock (gate)
        {
            // A proxy that appears while we are watching has counted nothing that we missed.
            var isNew = !targets.ContainsKey(target) && rounds > 0;
            targets[target] = at;
            foreach (var group in byWorkload)
            {
                var key = (group.Key, target);
                if (!histories.TryGetValue(key, out var history))
                {
                    histories[key] = history = new History();
                    if (isNew || rounds > 1)
                    {
                        history.Samples.Enqueue(new Counters(at - Scraper.Interval, 0, 0, [], []));
                    }
                }

                history.LastSeen = at;
                history.Samples.Enqueue(Sum(group, at));
                while (history.Samples.Count > MaximumSamples)
                {
                    history.Samples.Dequeue();
                }
            }
        }
    }

    /// <summary>Forgets proxies that have been gone for longer than any window.</summary>
    public void EndRound(IReadOnlyCollection<string> current, DateTimeOffset at)
    {
        lock (gate)
        {
            rounds++;
            foreach (var key in histories.Where(h => at - h.Value.LastSeen > KeepGone).Select(h => h.Key).ToList())
            {
                histories.Remove(key);
            }

            foreach (var target in targets.Where(t => !current.Contains(t.Key) && at - t.Value > KeepGone).Select(t => t.Key).ToList())
            {
                targets.Remove(target);
            }
        }
    }

    public Signal SuccessRate(string ns, string workload, TimeSpan window) =>
        Answer(ns, workload, window, i => i.Total <= 0 ? double.NaN : (i.Total - i.Errors) / i.Total * 100);

    public Signal Rate(string ns, string workload, TimeSpan window) =>
        Answer(ns, workload, window, i => i.Seconds <= 0 ? double.NaN : i.Total / i.Seconds);

    public Signal Duration(string ns, string workload, double quantile, TimeSpan window) =>
        Answer(ns, workload, window, i => Quantile(quantile, i.Bounds, i.Buckets));

    /// <summary>What has been added to the counters within a window.</summary>
    readonly record struct Increase(double Total, double Errors, double[] Bounds, double[] Buckets, double Seconds);

    Signal Answer(string ns, string workload, TimeSpan window, Func<Increase, double> value)
    {
        lock (gate)
        {
            if (rounds < 2)
            {
                return Signal.Warming;
            }

            return Signal.Of(value(IncreaseOf_NeedsLock($"{ns}/{workload}", time.GetUtcNow() - window)));
        }
    }

    Increase IncreaseOf_NeedsLock(string workload, DateTimeOffset since)
    {
        double total = 0, errors = 0, seconds = 0;
        double[] bounds = [], buckets = [];
        foreach (var history in histories.Where(h => h.Key.Workload == workload).Select(h => h.Value))
        {
            Counters? previous = null;
            foreach (var sample in history.Samples)
            {
                if (sample.At < since)
                {
                    continue;
                }

                if (previous is not null)
                {
                    total += Delta(sample.Total, previous.Total);
                    errors += Delta(sample.Errors, previous.Errors);
                    if (bounds.Length == 0 && sample.Bounds.Length > 0)
                    {
                        (bounds, buckets) = (sample.Bounds, new double[sample.Bounds.Length]);
                    }

                    for (var i = 0; i < Math.Min(buckets.Length, sample.Buckets.Length); i++)
                    {
                        buckets[i] += Delta(sample.Buckets[i], i < previous.Buckets.Length ? previous.Buckets[i] : 0);
                    }
                }

                previous = sample;
            }

            if (previous is not null)
            {
                seconds = Math.Max(seconds, (previous.At - history.Samples.First(s => s.At >= since).At).TotalSeconds);
            }
        }

        return new Increase(total, errors, bounds, buckets, seconds);
    }

    /// <summary>A counter that went back was started anew.</summary>
    static double Delta(double now, double before) => now >= before ? now - before : now;

    static Counters Sum(IEnumerable<Sample> samples, DateTimeOffset at)
    {
        double total = 0, errors = 0;
        var buckets = new SortedDictionary<double, double>();
        foreach (var sample in samples)
        {
            if (sample.Name == "istio_requests_total")
            {
                total += sample.Value;
                errors += sample.Labels.GetValueOrDefault("response_code")?.StartsWith('5') == true ? sample.Value : 0;
            }
            else
            {
                var bound = sample.Labels.GetValueOrDefault("le") switch
                {
                    "+Inf" or null => double.PositiveInfinity,
                    var le => double.Parse(le, CultureInfo.InvariantCulture),
                };
                buckets[bound] = buckets.GetValueOrDefault(bound) + sample.Value;
            }
        }

        return new Counters(at, total, errors, [.. buckets.Keys], [.. buckets.Values]);
    }

    /// <summary>Cumulative buckets, linear within a bucket, the highest finite bound for what lies beyond it.</summary>
    internal static double Quantile(double quantile, double[] bounds, double[] cumulative)
    {
        if (cumulative.Length == 0 || cumulative[^1] <= 0)
        {
            return double.NaN;
        }

        var rank = quantile * cumulative[^1];
        var i = 0;
        while (i < cumulative.Length - 1 && cumulative[i] < rank)
        {
            i++;
        }

        if (double.IsPositiveInfinity(bounds[i]))
        {
            return i == 0 ? double.NaN : bounds[i - 1];
        }

        var (start, below) = i == 0 ? (0, 0) : (bounds[i - 1], cumulative[i - 1]);
        var inBucket = cumulative[i] - below;
        return inBucket <= 0 ? bounds[i] : start + ((bounds[i] - start) * ((rank - below) / inBucket));
    }
}
