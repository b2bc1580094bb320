using System.Globalization;
using System.Text;

namespace Weir.Proxy.Bench;

/// <summary>The resources that Weir's proxies are given, for the same work as the others.</summary>
static class WeirConfiguration
{
    const string TypePrefix = "type.googleapis.com/envoy.";

    static string Cluster(string name, int port, int count, string extra = "") => """
        - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
          name: @NAME
          type: STATIC
          lb_policy: LEAST_REQUEST
          connect_timeout: 5s
          @EXTRA
          load_assignment:
            cluster_name: @NAME
            endpoints: [{lb_endpoints: [@ENDPOINTS]}]

        """.Replace("@NAME", name, StringComparison.Ordinal).Replace("@EXTRA", extra, StringComparison.Ordinal)
        .Replace("@ENDPOINTS", string.Join(", ", Enumerable.Range(port, count).Select(p => "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " + p + "}}}}")), StringComparison.Ordinal);

    static string Tls(string directory, bool isServer, bool isHttp2 = false) =>
        "transport_socket: {name: tls, typed_config: {\"@type\": " + TypePrefix + "extensions.transport_sockets.tls.v3." + (isServer ? "DownstreamTlsContext, require_client_certificate: true" : "UpstreamTlsContext, sni: bench")
        + $", common_tls_context: {{{(isHttp2 ? "alpn_protocols: [h2], " : "")}tls_params: {{tls_minimum_protocol_version: TLSv1_3}}, tls_certificates: [{{certificate_chain: {{filename: {directory}/cert.pem}}, private_key: {{filename: {directory}/key.pem}}}}], "
        + $"validation_context: {{trusted_ca: {{filename: {directory}/ca.pem}}, match_typed_subject_alt_names: [{{san_type: URI, matcher: {{exact: \"spiffe://bench/ns/default/sa/bench\"}}}}]}}}}" + (isServer ? ", disable_stateless_session_resumption: true" : ", max_session_keys: 0") + "}}";

    static string HttpListener(string name, int port, string cluster, string extra = "") => """
        - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
          name: @NAME
          address: {socket_address: {address: 127.0.0.1, port_value: @PORT}}
          filter_chains:
          - filters:
            - name: http
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                use_remote_address: false
                generate_request_id: false
                http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
                route_config:
                  name: @NAME
                  virtual_hosts:
                  - name: all
                    domains: ["*"]
                    routes:
                    - match: {prefix: /}
                      route: {cluster: @CLUSTER}
                      request_headers_to_add:
                      - {header: {key: x-a, value: one}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
                      - {header: {key: x-b, value: two}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
            @EXTRA

        """.Replace("@NAME", name, StringComparison.Ordinal).Replace("@PORT", port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
        .Replace("@CLUSTER", cluster, StringComparison.Ordinal).Replace("@EXTRA", extra, StringComparison.Ordinal);

    static string TcpListener(string name, int port, string cluster) => """
        - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
          name: @NAME
          address: {socket_address: {address: 127.0.0.1, port_value: @PORT}}
          filter_chains: [{filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, cluster: @CLUSTER}}]}]

        """.Replace("@NAME", name, StringComparison.Ordinal).Replace("@PORT", port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal).Replace("@CLUSTER", cluster, StringComparison.Ordinal);

    /// <summary>
    /// The same in other words, as a control plane would send it when something has changed: time limits, a cluster and a listener
    /// that come and go, certificates by SDS as they are now.
    /// </summary>
    public static string Changed(string directory, int version)
    {
        var text = new StringBuilder(Plain(directory)
            .Replace("connect_timeout: 5s", $"connect_timeout: {5 + (version % 5)}s", StringComparison.Ordinal)
            .Replace($"tls_certificates: [{{certificate_chain: {{filename: {directory}/cert.pem}}, private_key: {{filename: {directory}/key.pem}}}}]", "tls_certificate_sds_secret_configs: [{name: identity, sds_config: {ads: {}}}]", StringComparison.Ordinal));
        text.Append("- \"@type\": ").Append(TypePrefix).Append("extensions.transport_sockets.tls.v3.Secret\n  name: identity\n  tls_certificate:\n    certificate_chain: {inline_string: ")
            .Append(System.Text.Json.JsonSerializer.Serialize(File.ReadAllText($"{directory}/cert.pem"))).Append("}\n    private_key: {inline_string: ")
            .Append(System.Text.Json.JsonSerializer.Serialize(File.ReadAllText($"{directory}/key.pem"))).Append("}\n");
        if (version % 2 == 1)
        {
            text.Append(Cluster("sometimes", Ports.Backend, 1 + (version % 4))).Append(HttpListener("sometimes", Ports.WeirHttp + 9, "sometimes"));
        }

        return text.ToString();
    }

    public static string Plain(string directory) => "resources:\n"
        + Cluster("plain", Ports.Backend, 4) + Cluster("secure", Ports.TlsBackend, 4, Tls(directory, false)) + Cluster("bytes", Ports.EchoBackend, 1)
        + HttpListener("plain", Ports.WeirHttp, "plain") + HttpListener("secure", Ports.WeirTls, "secure", Tls(directory, true)) + TcpListener("bytes", Ports.WeirTcp, "bytes");

    /// <summary>One of two proxies of a mesh: from the client in the clear, to the other with mTLS.</summary>
    /// <param name="isHttp2">Between the two.</param>
    /// <param name="isHttp2Outside">Of the application.</param>
    public static string Outbound(string directory, bool isHttp2, bool isHttp2Outside) =>
        "resources:\n" + Cluster("peer", Ports.Inbound, 1, (isHttp2 ? Http2 : "") + Tls(directory, false, isHttp2)) + HttpListener("outbound", Ports.Outbound, "peer");

    /// <summary>The other: mTLS from the first, in the clear to the application.</summary>
    public static string Inbound(string directory, bool isHttp2, bool isHttp2Outside) =>
        "resources:\n" + Cluster("application", isHttp2Outside ? Ports.GrpcBackend : Ports.Backend, 1, isHttp2Outside ? Http2 : "") + HttpListener("inbound", Ports.Inbound, "application", Tls(directory, true, isHttp2));

    /// <summary>HTTP/2 with prior knowledge on both sides: to four endpoints, and to one that answers late.</summary>
    public static string InClearHttp2() => "resources:\n"
        + Cluster("fast", Ports.Http2Backend, 4, Http2) + Cluster("slow", Ports.SlowHttp2Backend, 1, Http2)
        + HttpListener("fast", Ports.WeirHttp2, "fast") + HttpListener("slow", Ports.WeirSlowHttp2, "slow");

    const string Http2 = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: "
        + "{\"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}\n  ";

    /// <summary>The same listeners, on other ports.</summary>
    public static string Moved(string configuration, int by) => new[] { Ports.WeirHttp, Ports.WeirTls, Ports.WeirTcp }.Aggregate(
        configuration, (text, port) => text.Replace($"port_value: {port}}}", $"port_value: {port + by}}}", StringComparison.Ordinal));

    /// <summary>As the plain one, with clusters and endpoints that a large mesh has.</summary>
    public static string Large(string directory, int clusters, int endpoints)
    {
        var text = new StringBuilder(Plain(directory));
        for (var i = 0; i < clusters; i++)
        {
            text.Append("- {\"@type\": ").Append(TypePrefix).Append("config.cluster.v3.Cluster, name: ").Append(Service(i)).Append(", type: EDS, lb_policy: LEAST_REQUEST, eds_cluster_config: {eds_config: {ads: {}}}, ")
                .Append(Tls(directory, false)).Append("}\n- {\"@type\": ").Append(TypePrefix).Append("config.endpoint.v3.ClusterLoadAssignment, ").Append(Endpoints(i, endpoints)).Append("}\n");
        }

        return text.ToString();
    }

    /// <summary>The same number of clusters with their endpoints in them, so that a control plane has nothing to compute when it is asked for those.</summary>
    public static string LargeInOne(string directory, int clusters, int endpoints)
    {
        var text = new StringBuilder(Plain(directory));
        for (var i = 0; i < clusters; i++)
        {
            text.Append("- {\"@type\": ").Append(TypePrefix).Append("config.cluster.v3.Cluster, name: ").Append(Service(i)).Append(", type: STATIC, lb_policy: LEAST_REQUEST, ")
                .Append(Tls(directory, false)).Append(", load_assignment: {").Append(Endpoints(i, endpoints)).Append("}}\n");
        }

        return text.ToString();
    }

    static string Service(int i) => $"\"outbound|80||service-{i}.default.svc.cluster.local\"";

    static string Endpoints(int i, int count) => $"cluster_name: {Service(i)}, endpoints: [{{lb_endpoints: ["
        + string.Join(", ", Enumerable.Range(0, count).Select(e => $"{{endpoint: {{address: {{socket_address: {{address: 10.{i / 250}.{i % 250}.{e + 1}, port_value: 8080}}}}}}}}")) + "]}]";
}
