using System.Globalization;
using System.Text;
using Weir.Proxy.Listeners;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Admin;

/// <summary>An answer of the proxy's own pages.</summary>
readonly record struct PageAnswer(int Status, string ContentType, byte[] Body);

/// <summary>
/// The proxy's own pages: readiness and metrics for everybody; configuration, statistics and what changes its state on the
/// administration address alone. They read what is published whole and counters of single writers, so that any thread may build an
/// answer while the loops go on.
/// </summary>
static class AdminPages
{
    const string Json = "application/json";

    const string Help = """
        GET  /ready, /healthz/ready   whether it serves
        GET  /healthz/live            whether it runs
        GET  /stats/prometheus        metrics, in Prometheus' text format
        GET  /stats                   the proxy's own counters
        GET  /clusters[?format=json]  clusters and their endpoints
        GET  /listeners               addresses listened on
        GET  /config_dump             what it is configured with, as JSON
        GET  /certs                   certificates in use, as JSON
        GET  /memory                  memory in use, as JSON
        GET  /server_info             version, uptime, state
        GET  /logging                 the log level
        POST /logging?level=LEVEL     sets it: error, warning, info or debug
        POST /drain_listeners         takes no more connections
        POST /quitquitquit            drains and ends

        """;

    public static PageAnswer Answer(ProxyEngine engine, Pages pages, PageRequest request)
    {
        if (pages == Pages.Admin && request.Refusal() is { } why)
        {
            return Text(403, why);
        }

        var target = request.Target;
        var question = target.IndexOf('?', StringComparison.Ordinal);
        var path = question < 0 ? target : target[..question];
        var query = question < 0 ? "" : target[(question + 1)..];
        switch (path)
        {
            case "/healthz/ready" or "/ready":
                return engine.IsDraining ? Text(503, "draining\n") : engine.IsReady() ? Text(200, "ready\n") : Text(503, "not ready: waiting for the control plane\n");
            case "/healthz/live":
                return Text(200, "live\n");
            case "/stats/prometheus" or "/metrics":
                return new PageAnswer(200, PrometheusText.ContentType, PrometheusText.WriteBytes(engine.Stats, Own(engine)));
        }

        if (pages != Pages.Admin)
        {
            return Text(404, "not found\n");
        }

        return request.Method == "POST" ? Change(engine, path, query) : Show(engine, path, query);
    }

    static PageAnswer Show(ProxyEngine engine, string path, string query) => path switch
    {
        "/" or "/help" => Text(200, Help),
        "/stats" => Text(200, string.Concat(Own(engine).Select(o => string.Create(CultureInfo.InvariantCulture, $"{o.Name}: {o.Value}\n")))),
        "/clusters" => query == "format=json" ? new PageAnswer(200, Json, ConfigDump.Clusters(engine)) : Text(200, ConfigDump.ClustersText(engine)),
        "/listeners" => Text(200, string.Concat(engine.Listeners.Values.OrderBy(l => l.Name, StringComparer.Ordinal).SelectMany(l => l.Addresses.Select(a => $"{l.Name}::{a}\n")))),
        "/config_dump" => new PageAnswer(200, Json, ConfigDump.Everything(engine)),
        "/certs" => new PageAnswer(200, Json, ConfigDump.Certificates(engine)),
        "/memory" => new PageAnswer(200, Json, ConfigDump.Memory()),
        "/server_info" => new PageAnswer(200, Json, ConfigDump.ServerInfo(engine)),
        "/logging" => Text(200, $"{engine.Log.Level.ToString().ToLowerInvariant()}\n"),
        "/drain_listeners" or "/quitquitquit" => Text(405, "this changes the proxy: use POST\n"),
        _ => Text(404, "not found; /help shows what there is\n"),
    };

    static PageAnswer Change(ProxyEngine engine, string path, string query)
    {
        switch (path)
        {
            case "/logging":
                if (!query.StartsWith("level=", StringComparison.Ordinal) || !Enum.TryParse<LogLevel>(query["level=".Length..], ignoreCase: true, out var level) || !Enum.IsDefined(level))
                {
                    return Text(400, "level must be error, warning, info or debug\n");
                }

                engine.Log.Level = level;
                return Text(200, $"{level.ToString().ToLowerInvariant()}\n");
            case "/drain_listeners":
                _ = engine.BeginDrain();
                return Text(200, "draining\n");
            case "/quitquitquit":
                engine.OnQuit();
                return Text(200, "ending\n");
            default:
                return Text(404, "not found; /help shows what there is\n");
        }
    }

    static (string Name, string Type, string Help, double Value)[] Own(ProxyEngine engine)
    {
        var (done, failed) = engine.Workers.Handshakes;
        (string, string, string, double)[] followed = engine.ControlPlane is not { } ads ? [] :
        [
            ("weir_proxy_control_plane_connected", "gauge", "1 while the control plane has answered on the stream that is open.", ads.IsConnected ? 1 : 0),
            ("weir_proxy_control_plane_streams_total", "counter", "Streams to the control plane that were tried to open.", ads.Streams),
            ("weir_proxy_control_plane_responses_total", "counter", "Responses of the control plane.", ads.Responses),
            ("weir_proxy_control_plane_refused_resources_total", "counter", "Resources that were refused.", ads.RefusedResources),
            ("weir_proxy_control_plane_errors_total", "counter", "Errors of the proxy itself while it followed the control plane; each is in its log.", ads.UnexpectedErrors),
        ];
        return
        [
            .. followed,
            ("weir_proxy_downstream_connections", "gauge", "Connections open now.", engine.Workers.ActiveConnections),
            ("weir_proxy_downstream_connections_shed_total", "counter", "Connections turned away because there were too many.", engine.Workers.ShedConnections),
            ("weir_proxy_http2_floods_total", "counter", "Connections of HTTP/2 ended because their clients flooded them or stalled within a frame.", engine.Workers.Http2Floods),
            ("weir_proxy_tls_handshakes_total", "counter", "TLS handshakes with clients that succeeded.", done),
            ("weir_proxy_tls_handshake_failures_total", "counter", "TLS handshakes with clients that failed.", failed),
            ("weir_proxy_access_log_dropped_total", "counter", "Lines of access logs that were not written fast enough.", engine.LogFiles.Dropped),
            ("weir_proxy_spans_dropped_total", "counter", "Spans that no collector got.", engine.Workers.DroppedSpans),
            ("weir_proxy_stats_clients_overflowed_total", "counter", "Connections of clients counted under other, because there are too many names.", engine.Stats.ClientsOverflowed),
            ("weir_proxy_overloaded", "gauge", "1 while requests are refused for want of memory.", engine.IsOverloaded ? 1 : 0),
            ("weir_proxy_managed_bytes", "gauge", "Size of the managed heap.", GC.GetTotalMemory(false)),
            ("weir_proxy_allocated_bytes_total", "counter", "Managed bytes ever allocated.", GC.GetTotalAllocatedBytes()),
        ];
    }

    static PageAnswer Text(int status, string text) => new(status, "text/plain", Encoding.UTF8.GetBytes(text));
}
