using System.Globalization;
using System.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>The counters in Prometheus' text format 0.0.4, under Istio's names.</summary>
public static class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    public static string Write(StatsRegistry stats, IEnumerable<(string Name, string Type, string Help, double Value)> own)
    {
        var rows = stats.All.SelectMany(Rows).ToList();
        var text = new StringBuilder();
        text.Append("# HELP istio_requests_total Requests answered.\n# TYPE istio_requests_total counter\n");
        foreach (var (labels, total) in rows)
        {
            text.Append("istio_requests_total{").Append(labels).Append("} ").Append(total.Count).Append('\n');
        }

        text.Append("# HELP istio_request_duration_milliseconds From the request's first byte to the response's last.\n")
            .Append("# TYPE istio_request_duration_milliseconds histogram\n");
        foreach (var (labels, total) in rows)
        {
            WriteHistogram(text, labels, total);
        }

        WriteBytes(text, "istio_request_bytes", "Bytes of request bodies.", rows, t => t.RequestBytes);
        WriteBytes(text, "istio_response_bytes", "Bytes of response bodies.", rows, t => t.ResponseBytes);
        WriteTcp(text, stats);
        foreach (var (name, type, help, value) in own)
        {
            text.Append($"# HELP {name} {help}\n# TYPE {name} {type}\n{name} ").Append(value.ToString(CultureInfo.InvariantCulture)).Append('\n');
        }

        return text.ToString();
    }

    sealed record Total(long Count, double Sum, long RequestBytes, long ResponseBytes, long[] Buckets);

    /// <summary>The loops' parts of one series added up.</summary>
    static IEnumerable<(string Labels, Total Total)> Rows(StatsScope scope)
    {
        foreach (var group in scope.All.GroupBy(s => (s.Code, s.Flag)))
        {
            var buckets = new long[Series.Bounds.Length + 1];
            foreach (var series in group)
            {
                for (var i = 0; i < buckets.Length; i++)
                {
                    buckets[i] += series.Buckets[i];
                }
            }

            yield return (Labels(scope.Labels, group.Key.Code, group.Key.Flag), new Total(
                group.Sum(s => Volatile.Read(ref s.Count)), group.Sum(s => s.SumMilliseconds),
                group.Sum(s => s.RequestBytes), group.Sum(s => s.ResponseBytes), buckets));
        }
    }

    static void WriteHistogram(StringBuilder text, string labels, Total total)
    {
        long cumulative = 0;
        for (var i = 0; i < total.Buckets.Length; i++)
        {
            cumulative += total.Buckets[i];
            var bound = i < Series.Bounds.Length ? Series.Bounds[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            text.Append("istio_request_duration_milliseconds_bucket{").Append(labels).Append(",le=\"").Append(bound).Append("\"} ")
                .Append(cumulative).Append('\n');
        }

        text.Append("istio_request_duration_milliseconds_sum{").Append(labels).Append("} ")
            .Append(total.Sum.ToString(CultureInfo.InvariantCulture)).Append('\n');
        text.Append("istio_request_duration_milliseconds_count{").Append(labels).Append("} ").Append(cumulative).Append('\n');
    }

    /// <summary>Sum and count, without buckets: averages and rates are what they are asked for.</summary>
    static void WriteBytes(StringBuilder text, string name, string help, List<(string Labels, Total Total)> rows, Func<Total, long> value)
    {
        text.Append($"# HELP {name} {help}\n# TYPE {name} summary\n");
        foreach (var (labels, total) in rows)
        {
            text.Append(name).Append("_sum{").Append(labels).Append("} ").Append(value(total)).Append('\n');
            text.Append(name).Append("_count{").Append(labels).Append("} ").Append(total.Count).Append('\n');
        }
    }

    static void WriteTcp(StringBuilder text, StatsRegistry stats)
    {
        var scopes = stats.All.Where(s => s.AllTcp.Any()).ToList();
        (string Name, string Help, Func<TcpSeries, long> Value)[] counters =
        [
            ("istio_tcp_connections_opened_total", "TCP sessions opened.", t => t.Opened),
            ("istio_tcp_connections_closed_total", "TCP sessions closed.", t => t.Closed),
            ("istio_tcp_received_bytes_total", "Bytes from clients.", t => t.ReceivedBytes),
            ("istio_tcp_sent_bytes_total", "Bytes to clients.", t => t.SentBytes),
        ];
        foreach (var (name, help, value) in counters)
        {
            text.Append($"# HELP {name} {help}\n# TYPE {name} counter\n");
            foreach (var scope in scopes)
            {
                text.Append(name).Append('{').Append(Labels(scope.Labels, "tcp", null, ResponseFlag.None)).Append("} ").Append(scope.AllTcp.Sum(value)).Append('\n');
            }
        }
    }

    static string Labels(StatsLabels labels, int code, ResponseFlag flag) => Labels(labels, "http", code, flag);

    static string Labels(StatsLabels l, string protocol, int? code, ResponseFlag flag)
    {
        var text = new StringBuilder();
        void Add(string name, string value)
        {
            text.Append(text.Length == 0 ? "" : ",").Append(name).Append("=\"")
                .Append(value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal))
                .Append('"');
        }

        Add("reporter", l.Reporter);
        Add("source_workload", l.SourceWorkload);
        Add("source_workload_namespace", l.SourceNamespace);
        Add("source_principal", l.SourcePrincipal);
        Add("source_app", l.SourceApp);
        Add("source_version", l.SourceVersion);
        Add("source_canonical_service", l.SourceApp);
        Add("source_canonical_revision", l.SourceVersion);
        Add("destination_workload", l.DestinationWorkload);
        Add("destination_workload_namespace", l.DestinationNamespace);
        Add("destination_principal", l.DestinationPrincipal);
        Add("destination_app", l.DestinationApp);
        Add("destination_version", l.DestinationVersion);
        Add("destination_canonical_service", l.DestinationApp);
        Add("destination_canonical_revision", l.DestinationVersion);
        Add("destination_service", l.DestinationService);
        Add("destination_service_name", l.DestinationServiceName);
        Add("destination_service_namespace", l.DestinationServiceNamespace);
        Add("request_protocol", protocol);
        if (code is { } status)
        {
            Add("response_code", status.ToString(CultureInfo.InvariantCulture));
        }

        Add("response_flags", flag == ResponseFlag.None ? "-" : flag.ToString());
        Add("connection_security_policy", l.Reporter == "destination" ? l.IsMutualTls ? "mutual_tls" : "none" : "unknown");
        return text.ToString();
    }
}
