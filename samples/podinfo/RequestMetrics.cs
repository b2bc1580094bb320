using System.Globalization;
using System.Text;

namespace Weir.Samples.Podinfo;

/// <summary>Counts requests by method and status, under the names that podinfo's dashboards use.</summary>
sealed class RequestMetrics
{
    static readonly double[] Bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    sealed class Series
    {
        public long Count { get; set; }
        public double Sum { get; set; }
        public long[] Buckets { get; } = new long[Bounds.Length];
    }

    readonly Lock gate = new();
    readonly SortedDictionary<(string Method, int Status), Series> series = [];

    public void Record(string method, int status, TimeSpan duration)
    {
        lock (gate)
        {
            if (!series.TryGetValue((method, status), out var one))
            {
                // Methods are the client's words: only so many are told apart.
                var key = series.Count < 100 ? (method, status) : ("OTHER", status);
                if (!series.TryGetValue(key, out one))
                {
                    series[key] = one = new Series();
                }
            }

            one.Count++;
            one.Sum += duration.TotalSeconds;
            for (var i = 0; i < Bounds.Length; i++)
            {
                one.Buckets[i] += duration.TotalSeconds <= Bounds[i] ? 1 : 0;
            }
        }
    }

    public string ToPrometheus()
    {
        var text = new StringBuilder("# TYPE http_requests_total counter\n");
        lock (gate)
        {
            foreach (var status in series.GroupBy(s => s.Key.Status))
            {
                text.Append(CultureInfo.InvariantCulture, $"http_requests_total{{status=\"{status.Key}\"}} {status.Sum(s => s.Value.Count)}\n");
            }

            text.Append("# TYPE http_request_duration_seconds histogram\n");
            foreach (var ((method, status), one) in series)
            {
                var labels = $"method=\"{method}\",path=\"root\",status=\"{status}\"";
                for (var i = 0; i < Bounds.Length; i++)
                {
                    text.Append(CultureInfo.InvariantCulture, $"http_request_duration_seconds_bucket{{{labels},le=\"{Bounds[i]}\"}} {one.Buckets[i]}\n");
                }

                text.Append(CultureInfo.InvariantCulture, $"http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {one.Count}\n");
                text.Append(CultureInfo.InvariantCulture, $"http_request_duration_seconds_sum{{{labels}}} {one.Sum}\n");
                text.Append(CultureInfo.InvariantCulture, $"http_request_duration_seconds_count{{{labels}}} {one.Count}\n");
            }
        }

        return text.ToString();
    }
}
