using System.Net;
using Weir.Xds.Transport;

namespace Weir.Xds.Bootstrap;

/// <summary>The static cluster that configuration comes from.</summary>
static class ClusterReader
{
    const string HttpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

    sealed class Http2Settings
    {
        public bool IsThere { get; set; }
        public TimeSpan? PingInterval { get; set; }
        public TimeSpan? PingTimeout { get; set; }
    }

    public static GrpcTarget? Read(JsonField cluster, string name, string authority)
    {
        var type = cluster.Text("type");
        if (type is not ("" or "STATIC" or "STRICT_DNS" or "LOGICAL_DNS"))
        {
            cluster.Error($"type must be STATIC, STRICT_DNS or LOGICAL_DNS, not \"{type}\"");
        }

        var addresses = ReadEndpoints(cluster, mustBeAddresses: type is "" or "STATIC");
        var http2 = ReadHttp2(cluster);
        var tls = TlsReader.TransportSocket(cluster);
        var connectTimeout = cluster.Duration("connect_timeout");
        cluster.Ignore(
            "alt_stat_name", "lb_policy", "load_balancing_policy", "dns_lookup_family", "dns_refresh_rate", "dns_failure_refresh_rate", "respect_dns_ttl",
            "use_tcp_for_dns_lookups", "circuit_breakers", "upstream_connection_options", "per_connection_buffer_limit_bytes", "common_lb_config", "cleanup_interval",
            "common_http_protocol_options", "close_connections_on_host_health_failure", "ignore_health_on_host_removal", "outlier_detection", "health_checks",
            "metadata", "track_cluster_stats", "wait_for_warm_on_init", "typed_dns_resolver_config", "max_requests_per_connection");
        cluster.Close();
        if (addresses.Count == 0)
        {
            return null;
        }

        var server = new XdsServer(addresses, tls, authority.Length > 0 ? authority : tls is { ServerName.Length: > 0 } ? tls.ServerName : name);
        return new GrpcTarget(name, connectTimeout is { } limit ? server with { ConnectTimeout = limit } : server, http2.PingInterval, http2.PingTimeout);
    }

    static List<XdsAddress> ReadEndpoints(JsonField cluster, bool mustBeAddresses)
    {
        var addresses = new List<XdsAddress>();
        if (cluster.Object("load_assignment") is { } assignment)
        {
            assignment.Find("cluster_name");
            foreach (var locality in assignment.Objects("endpoints"))
            {
                foreach (var endpoint in locality.Objects("lb_endpoints"))
                {
                    if (ReadEndpoint(endpoint) is { } address)
                    {
                        addresses.Add(address);
                    }
                }

                locality.Ignore("locality", "priority", "load_balancing_weight", "proximity", "metadata");
                locality.Close();
            }

            assignment.Ignore("policy");
            assignment.Close();
        }

        foreach (var address in addresses.Where(a => mustBeAddresses && a.UnixPath is null && a.Host.Length > 0 && !IPAddress.TryParse(a.Host, out _)))
        {
            cluster.Error($"\"{address.Host}\" is not an IP address; type STRICT_DNS looks names up");
        }

        if (addresses.Count == 0)
        {
            cluster.Error("load_assignment has no endpoint with an address");
        }

        return addresses;
    }

    static XdsAddress? ReadEndpoint(JsonField field)
    {
        XdsAddress? address = null;
        if (field.Object("endpoint") is { } endpoint)
        {
            if (endpoint.Object("address") is { } outer)
            {
                address = AddressReader.SocketOrPipe(outer);
                outer.Close();
            }

            endpoint.Ignore("hostname", "health_check_config", "additional_addresses");
            endpoint.Close();
        }

        field.Ignore("load_balancing_weight", "health_status", "metadata");
        field.Close();
        return address;
    }

    static Http2Settings ReadHttp2(JsonField cluster)
    {
        var settings = new Http2Settings();
        Read(cluster.Object("http2_protocol_options"), settings);
        if (cluster.Object("typed_extension_protocol_options") is { } typed)
        {
            if (typed.Object(HttpProtocolOptions) is { } options)
            {
                TlsReader.RequireType(options, XdsTypes.HttpProtocolOptions);
                if (options.Object("explicit_http_config") is { } explicitly)
                {
                    Read(explicitly.Object("http2_protocol_options"), settings);
                    explicitly.Close();
                }

                options.Ignore("common_http_protocol_options", "upstream_http_protocol_options", "http_filters", "header_validation_config");
                options.Close();
            }

            typed.Close();
        }

        if (!settings.IsThere)
        {
            cluster.Error($"xDS needs HTTP/2: give typed_extension_protocol_options with {HttpProtocolOptions} and explicit_http_config.http2_protocol_options");
        }

        return settings;
    }

    static void Read(JsonField? http2, Http2Settings settings)
    {
        if (http2 is null)
        {
            return;
        }

        settings.IsThere = true;
        if (http2.Object("connection_keepalive") is { } keepAlive)
        {
            settings.PingInterval = keepAlive.Duration("interval");
            settings.PingTimeout = keepAlive.Duration("timeout");
            keepAlive.Ignore("interval_jitter", "connection_idle_interval");
            keepAlive.Close();
        }

        http2.Ignore(
            "hpack_table_size", "max_concurrent_streams", "initial_stream_window_size", "initial_connection_window_size", "allow_connect", "allow_metadata",
            "max_outbound_frames", "max_outbound_control_frames", "override_stream_error_on_invalid_http_message");
        http2.Close();
    }
}
