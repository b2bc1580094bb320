using System.Globalization;
using System.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>
/// The counters in Prometheus' text format 0.0.4, under Istio's names. Reads what the loops count without stopping them; may be called
/// on any thread, and is not meant for a data loop.
/// </summary>
public static class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    static readonly string[] Bounds = [.. Series.Bounds.Select(b => b.ToString(CultureInfo.InvariantCulture)), "+Inf"];

    public static string Write(StatsRegistry stats, IEnumerable<(string Name, string Type, string Help, double Value)> own) => Encoding.UTF8.GetString(WriteBytes(stats, own));

    public static byte[] WriteBytes(StatsRegistry stats, IEnumerable<(string Name, string Type, string Help, double Value)> own)
    {
        stats.Sweep();
        var scopes = stats.All.ToList();
        var rows = scopes.SelectMany(Rows).ToList();
        var text = new Utf8Text();
        text.Begin("istio_requests_total", "counter", "Requests answered.");
        foreach (var row in rows)
        {
            text.Sample("istio_requests_total", row.Labels, row.Count);
        }

        text.Begin("istio_request_duration_milliseconds", "histogram", "From the request's first byte to the response's last.");
        rows.ForEach(r => WriteHistogram(text, r));
        WriteSummary(text, "istio_request_bytes", "Bytes of request bodies.", rows, r => r.RequestBytes);
        WriteSummary(text, "istio_response_bytes", "Bytes of response bodies.", rows, r => r.ResponseBytes);
        WriteTcp(text, scopes);
        foreach (var (name, type, help, value) in own)
        {
            text.Begin(name, type, help);
            text.Sample(name, [], value);
        }

        return text.ToArray();
    }

    /// <summary>The loops' parts of one series added up.</summary>
    sealed class Row
    {
        public required byte[] Labels;
        public long Count;
        public double Sum;
        public long RequestBytes;
        public long ResponseBytes;
        public readonly long[] Buckets = new long[Bounds.Length];

        public void Add(Series series)
        {
            Count += Volatile.Read(ref series.Count);
            Sum += Volatile.Read(ref series.SumMilliseconds);
            RequestBytes += Volatile.Read(ref series.RequestBytes);
            ResponseBytes += Volatile.Read(ref series.ResponseBytes);
            for (var i = 0; i < Buckets.Length; i++)
            {
                Buckets[i] += Volatile.Read(ref series.Buckets[i]);
            }
        }
    }

    static IEnumerable<Row> Rows(StatsScope scope)
    {
        var rows = new Dictionary<(int, ResponseFlag, int?), Row>();
        foreach (var series in scope.All)
        {
            var key = (series.Code, series.Flag, series.GrpcStatus);
            if (!rows.TryGetValue(key, out var row))
            {
                rows[key] = row = new Row { Labels = IstioLabels.OfRequests(scope.Labels, series) };
            }

            row.Add(series);
        }

        return rows.Values;
    }

    static void WriteHistogram(Utf8Text text, Row row)
    {
        long cumulative = 0;
        for (var i = 0; i < Bounds.Length; i++)
        {
            cumulative += row.Buckets[i];
            text.Bucket("istio_request_duration_milliseconds_bucket", row.Labels, Bounds[i], cumulative);
        }

        text.Sample("istio_request_duration_milliseconds_sum", row.Labels, row.Sum);
        text.Sample("istio_request_duration_milliseconds_count", row.Labels, cumulative);
    }

    /// <summary>Sum and count, without buckets: averages and rates are what they are asked for.</summary>
    static void WriteSummary(Utf8Text text, string name, string help, List<Row> rows, Func<Row, long> value)
    {
        text.Begin(name, "summary", help);
        foreach (var row in rows)
        {
            text.Sample($"{name}_sum", row.Labels, value(row));
            text.Sample($"{name}_count", row.Labels, row.Count);
        }
    }

    static void WriteTcp(Utf8Text text, List<StatsScope> scopes)
    {
        var rows = scopes.Where(s => s.AllTcp.Any()).Select(s => (Labels: IstioLabels.OfSessions(s.Labels), Scope: s)).ToList();
        (string Name, string Help, Func<TcpSeries, long> Value)[] counters =
        [
            ("istio_tcp_connections_opened_total", "TCP sessions opened.", t => Volatile.Read(ref t.Opened)),
            ("istio_tcp_connections_closed_total", "TCP sessions closed.", t => Volatile.Read(ref t.Closed)),
            ("istio_tcp_received_bytes_total", "Bytes from clients.", t => Volatile.Read(ref t.ReceivedBytes)),
            ("istio_tcp_sent_bytes_total", "Bytes to clients.", t => Volatile.Read(ref t.SentBytes)),
        ];
        foreach (var (name, help, value) in counters)
        {
            text.Begin(name, "counter", help);
            foreach (var (labels, scope) in rows)
            {
                text.Sample(name, labels, scope.AllTcp.Sum(value));
            }
        }
    }
}
