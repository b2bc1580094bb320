using System.Globalization;
using System.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>The labels of a series as Prometheus reads them, with Istio's names.</summary>
static class IstioLabels
{
    public static byte[] OfRequests(StatsLabels labels, Series series)
    {
        var text = Common(labels, series.GrpcStatus is null ? "http" : "grpc");
        Add(text, "response_code", series.Code.ToString(CultureInfo.InvariantCulture));
        if (series.GrpcStatus is { } status)
        {
            Add(text, "grpc_response_status", status.ToString(CultureInfo.InvariantCulture));
        }

        return Close(text, labels, series.Flag);
    }

    public static byte[] OfSessions(StatsLabels labels) => Close(Common(labels, "tcp"), labels, ResponseFlag.None);

    static StringBuilder Common(StatsLabels l, string protocol)
    {
        var text = new StringBuilder(1024);
        Add(text, "reporter", l.Reporter);
        Add(text, "source_workload", l.SourceWorkload);
        Add(text, "source_workload_namespace", l.SourceNamespace);
        Add(text, "source_principal", l.SourcePrincipal);
        Add(text, "source_app", l.SourceApp);
        Add(text, "source_version", l.SourceVersion);
        Add(text, "source_canonical_service", l.SourceApp);
        Add(text, "source_canonical_revision", l.SourceVersion);
        Add(text, "destination_workload", l.DestinationWorkload);
        Add(text, "destination_workload_namespace", l.DestinationNamespace);
        Add(text, "destination_principal", l.DestinationPrincipal);
        Add(text, "destination_app", l.DestinationApp);
        Add(text, "destination_version", l.DestinationVersion);
        Add(text, "destination_canonical_service", l.DestinationApp);
        Add(text, "destination_canonical_revision", l.DestinationVersion);
        Add(text, "destination_service", l.DestinationService);
        Add(text, "destination_service_name", l.DestinationServiceName);
        Add(text, "destination_service_namespace", l.DestinationServiceNamespace);
        Add(text, "request_protocol", protocol);
        return text;
    }

    static byte[] Close(StringBuilder text, StatsLabels labels, ResponseFlag flag)
    {
        Add(text, "response_flags", flag == ResponseFlag.None ? "-" : Encoding.ASCII.GetString(ResponseFlags.NameOf(flag)));
        Add(text, "connection_security_policy", labels.Reporter == "destination" ? labels.IsMutualTls ? "mutual_tls" : "none" : "unknown");
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    static void Add(StringBuilder text, string name, string value)
    {
        text.Append(text.Length == 0 ? "" : ",").Append(name).Append("=\"");
        if (value.AsSpan().IndexOfAny('\\', '"', '\n') < 0)
        {
            text.Append(value);
        }
        else
        {
            foreach (var c in value)
            {
                _ = c switch
                {
                    '\\' or '"' => text.Append('\\').Append(c),
                    '\n' => text.Append("\\n"),
                    _ => text.Append(c),
                };
            }
        }

        text.Append('"');
    }
}
