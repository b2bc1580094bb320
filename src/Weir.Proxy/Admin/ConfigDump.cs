using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Weir.Proxy.Listeners;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Admin;

/// <summary>The configuration in force, as JSON: what was made of the resources, not the resources. Keys are never shown.</summary>
static class ConfigDump
{
    public static byte[] Everything(ProxyEngine engine) => Write(json =>
    {
        WriteListeners(json, engine);
        WriteRoutes(json, engine);
        WriteClusters(json, engine);
        WriteNotes(json, engine);
    });

    public static byte[] Clusters(ProxyEngine engine) => Write(json => WriteClusters(json, engine));

    public static string ClustersText(ProxyEngine engine)
    {
        var text = new StringBuilder();
        foreach (var cluster in Sorted(engine))
        {
            text.Append(cluster.Name).Append(' ').Append(cluster.Balancing.Policy).Append(' ')
                .AppendJoin(',', cluster.All.Endpoints.Select(e => e.Address.ToString())).Append('\n');
        }

        return text.ToString();
    }

    public static byte[] Certificates(ProxyEngine engine) => Write(json =>
    {
        json.WriteStartArray("certificates");
        foreach (var listener in engine.Listeners.Values.OrderBy(l => l.Name, StringComparer.Ordinal))
        {
            foreach (var context in listener.Chains.All.SelectMany(c => c.Tls?.Contexts ?? []))
            {
                json.WriteStartObject();
                json.WriteString("listener", listener.Name);
                json.WriteString("subject_alt_names", string.Join(", ", context.ServerNames));
                json.WriteString("principal", context.Principal);
                json.WriteString("expires", context.Expires);
                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
    });

    public static byte[] Memory() => Write(json =>
    {
        var info = GC.GetGCMemoryInfo();
        json.WriteNumber("allocated", GC.GetTotalMemory(false));
        json.WriteNumber("heap_size", info.HeapSizeBytes);
        json.WriteNumber("total_committed", info.TotalCommittedBytes);
        json.WriteNumber("total_allocated", GC.GetTotalAllocatedBytes());
        json.WriteNumber("resident", Environment.WorkingSet);
        json.WriteNumber("collections", GC.CollectionCount(0));
    });

    public static byte[] ServerInfo(ProxyEngine engine) => Write(json =>
    {
        json.WriteString("name", "weir-proxy");
        json.WriteString("state", engine.IsDraining ? "DRAINING" : engine.IsReady() ? "LIVE" : "PRE_INITIALIZING");
        json.WriteString("started", engine.StartedAt);
        json.WriteNumber("concurrency", engine.Concurrency);
        json.WriteNumber("process", Environment.ProcessId);
    });

    static void WriteListeners(Utf8JsonWriter json, ProxyEngine engine)
    {
        json.WriteStartArray("listeners");
        foreach (var listener in engine.Listeners.Values.OrderBy(l => l.Name, StringComparer.Ordinal))
        {
            json.WriteStartObject();
            json.WriteString("name", listener.Name);
            json.WriteString("addresses", string.Join(", ", listener.Addresses));
            json.WriteBoolean("proxy_protocol", listener.InspectsProxyProtocol);
            json.WriteStartArray("filter_chains");
            foreach (var chain in listener.Chains.All)
            {
                WriteChain(json, chain);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    static void WriteChain(Utf8JsonWriter json, FilterChain chain)
    {
        json.WriteStartObject();
        json.WriteString("name", chain.Name);
        json.WriteString("server_names", string.Join(", ", chain.Match.ServerNames));
        json.WriteString("transport_protocol", chain.Match.Transport);
        json.WriteString("application_protocols", string.Join(", ", chain.Match.Alpn));
        json.WriteNumber("destination_port", chain.Match.DestinationPort);
        json.WriteBoolean("tls", chain.Tls is not null);
        if (chain.Http is { } http)
        {
            json.WriteString("protocol", "http");
            json.WriteString("route_config", http.Routes.Current?.Name ?? http.Routes.Name);
        }
        else
        {
            json.WriteString("protocol", "tcp");
            json.WriteString("clusters", string.Join(", ", chain.Tcp!.Targets.Select(t => t.Cluster.Name)));
        }

        json.WriteEndObject();
    }

    static void WriteRoutes(Utf8JsonWriter json, ProxyEngine engine)
    {
        json.WriteStartArray("routes");
        foreach (var table in engine.Listeners.Values.SelectMany(l => l.Chains.All).Select(c => c.Http?.Routes.Current).OfType<RouteTable>().Distinct().OrderBy(t => t.Name, StringComparer.Ordinal))
        {
            json.WriteStartObject();
            json.WriteString("name", table.Name);
            json.WriteStartArray("virtual_hosts");
            foreach (var host in table.Hosts)
            {
                json.WriteStartObject();
                json.WriteString("name", host.Name);
                json.WriteString("domains", string.Join(", ", host.Domains));
                json.WriteStartArray("routes");
                foreach (var route in host.Routes)
                {
                    WriteRoute(json, route);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    static void WriteRoute(Utf8JsonWriter json, Route route)
    {
        json.WriteStartObject();
        json.WriteString("name", route.Name);
        json.WriteString("match", route.IsConnect ? "CONNECT" : $"{route.PathKind} {route.Path}");
        json.WriteString("headers", string.Join(", ", route.Headers.Select(h => $"{(h.IsInverted ? "not " : "")}{Encoding.ASCII.GetString(h.Name)} {h.Value}")));
        if (route.Direct is { } direct)
        {
            json.WriteNumber("direct_response", direct.Status);
        }
        else
        {
            json.WriteString("clusters", string.Join(", ", route.Targets.Select(t => t.Cluster.Name)));
            json.WriteNumber("timeout_ms", route.TimeoutMilliseconds);
        }

        json.WriteEndObject();
    }

    static void WriteClusters(Utf8JsonWriter json, ProxyEngine engine)
    {
        json.WriteStartArray("clusters");
        foreach (var cluster in Sorted(engine))
        {
            json.WriteStartObject();
            json.WriteString("name", cluster.Name);
            json.WriteString("policy", cluster.Balancing.Policy.ToString());
            json.WriteBoolean("tls", cluster.Tls is not null);
            json.WriteNumber("connect_timeout_ms", cluster.ConnectTimeoutMilliseconds);
            json.WriteNumber("connections", cluster.Loads.Sum(l => l.Connections));
            json.WriteNumber("requests_active", cluster.Loads.Sum(l => l.Requests));
            json.WriteStartArray("endpoints");
            foreach (var endpoint in cluster.All.Endpoints)
            {
                json.WriteStartObject();
                json.WriteString("address", endpoint.Address.ToString());
                json.WriteNumber("weight", endpoint.Weight);
                json.WriteNumber("requests_active", endpoint.State.ByLoop.Sum(h => h?.ActiveRequests ?? 0));
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    static void WriteNotes(Utf8JsonWriter json, ProxyEngine engine)
    {
        json.WriteStartArray("not_carried_out");
        foreach (var note in engine.Notes)
        {
            json.WriteStartObject();
            json.WriteString("type", note.Type);
            json.WriteString("name", note.Name);
            json.WriteBoolean("refused", note.IsRefused);
            json.WriteString("reason", note.Text);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    static IEnumerable<Cluster> Sorted(ProxyEngine engine) => engine.Clusters.All.OrderBy(c => c.Name, StringComparer.Ordinal);

    static byte[] Write(Action<Utf8JsonWriter> body)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            body(json);
            json.WriteEndObject();
        }

        return [.. buffer.WrittenSpan, (byte)'\n'];
    }
}
