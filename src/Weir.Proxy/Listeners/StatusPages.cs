using System.Text;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Listeners;

/// <summary>The proxy's own pages: readiness, metrics, and a summary of its configuration.</summary>
static class StatusPages
{
    public static (int Status, string ContentType, byte[] Body) Answer(ProxyEngine engine, ReadOnlySpan<byte> path)
    {
        if (path.SequenceEqual("/healthz/ready"u8) || path.SequenceEqual("/ready"u8))
        {
            return engine.IsReady() && !engine.IsDraining ? Text(200, "ready\n") : Text(503, "not ready: waiting for the control plane\n");
        }

        if (path.SequenceEqual("/healthz/live"u8))
        {
            return Text(200, "live\n");
        }

        if (path.SequenceEqual("/stats/prometheus"u8) || path.SequenceEqual("/metrics"u8))
        {
            (string, string, string, double)[] own =
            [
                ("weir_proxy_downstream_connections", "gauge", "Connections open now.", engine.ActiveConnections),
                ("weir_proxy_managed_bytes", "gauge", "Size of the managed heap.", GC.GetTotalMemory(false)),
                ("weir_proxy_allocated_bytes_total", "counter", "Managed bytes ever allocated.", GC.GetTotalAllocatedBytes()),
            ];
            return (200, PrometheusText.ContentType, Encoding.UTF8.GetBytes(PrometheusText.Write(engine.Stats, own)));
        }

        return path.SequenceEqual("/clusters"u8) ? Text(200, Clusters(engine)) : Text(404, "not found\n");
    }

    static string Clusters(ProxyEngine engine)
    {
        var text = new StringBuilder();
        foreach (var cluster in engine.Configuration.Clusters.Values.OrderBy(c => c.Name, StringComparer.Ordinal))
        {
            text.Append(cluster.Name).Append(' ').Append(cluster.Policy).Append(' ')
                .AppendJoin(',', cluster.Endpoints.Select(e => e.Address.ToString())).Append('\n');
        }

        return text.ToString();
    }

    static (int, string, byte[]) Text(int status, string text) => (status, "text/plain", Encoding.UTF8.GetBytes(text));
}
