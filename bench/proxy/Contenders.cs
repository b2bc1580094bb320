using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Weir.Proxy.Bench;

/// <summary>A proxy under measurement: a process pinned to a core, with what the kernel accounts to it.</summary>
sealed class Contender : IDisposable
{
    readonly Process process;

    public Contender(string name, string core, string command, string directory)
    {
        Name = name;
        process = Process.Start(new ProcessStartInfo("sh", ["-c", $"ulimit -n 60000 2>/dev/null || ulimit -n $(ulimit -Hn); exec taskset -c {core} {command} >{directory}/{name}.log 2>&1"]))!;
    }

    public string Name { get; }

    public int Id => process.Id;

    public bool HasEnded => process.HasExited;

    /// <summary>Itself and its children: nginx works in one.</summary>
    IEnumerable<int> Processes
    {
        get
        {
            yield return process.Id;
            foreach (var child in File.ReadAllText($"/proc/{process.Id}/task/{process.Id}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                yield return int.Parse(child, CultureInfo.InvariantCulture);
            }
        }
    }

    /// <summary>Nanoseconds on a processor, over all threads, as the scheduler counts them.</summary>
    public long CpuNanoseconds => Processes.SelectMany(p => Directory.GetDirectories($"/proc/{p}/task"))
        .Sum(t => long.Parse(File.ReadAllText($"{t}/schedstat").Split(' ')[0], CultureInfo.InvariantCulture));

    public long ResidentBytes => Processes.Sum(p => long.Parse(
        File.ReadAllLines($"/proc/{p}/status").First(l => l.StartsWith("VmRSS", StringComparison.Ordinal)).Split(':')[1].Trim().Split(' ')[0], CultureInfo.InvariantCulture) * 1024);

    public void Dispose()
    {
        if (!process.HasExited)
        {
            using var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]);
            kill.WaitForExit();
            if (!process.WaitForExit(8000))
            {
                process.Kill(entireProcessTree: true);
            }
        }

        process.Dispose();
    }
}

/// <summary>The three proxies' configurations for the same work: match a route, add two headers, least requests over four endpoints.</summary>
static class Configurations
{
    public const int WeirHttp = 19000, WeirTls = 19001, WeirTcp = 19002, NginxHttp = 19010, HaproxyHttp = 19020, HaproxyTls = 19021, HaproxyTcp = 19022;
    public const int Backend = 19081, TlsBackend = 19181, EchoBackend = 19281, Outbound = 19030, Inbound = 19031, HaproxyOutbound = 19032, HaproxyInbound = 19033;

    /// <summary>As many as HAProxy takes with the descriptors it may have: it wants two for each.</summary>
    public static readonly int Connections = Math.Min(10_000, (DescriptorLimit() - 100) / 2);

    static int DescriptorLimit() => int.TryParse(
        File.ReadLines("/proc/self/limits").First(l => l.StartsWith("Max open files", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[4], out var limit) ? limit : 60_000;

    const string TypePrefix = "type.googleapis.com/envoy.";

    public static string Nginx(string directory) => $$"""
        worker_processes 1; daemon off; pid {{directory}}/nginx.pid; error_log /dev/null;
        events { worker_connections 19000; }
        http {
          access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
          client_body_temp_path {{directory}}/n1; proxy_temp_path {{directory}}/n2; fastcgi_temp_path {{directory}}/n3; uwsgi_temp_path {{directory}}/n4; scgi_temp_path {{directory}}/n5;
          upstream backend { least_conn; keepalive 256; keepalive_requests 1000000000; {{string.Concat(Enumerable.Range(0, 4).Select(i => $"server 127.0.0.1:{Backend + i}; "))}} }
          server {
            listen 127.0.0.1:{{NginxHttp}} backlog=4096;
            location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header x-a one; proxy_set_header x-b two; }
          }
        }
        """;

    public static string Haproxy(string directory) => $$"""
        global
          maxconn {{Connections}}
          nbthread 1
          ssl-default-bind-options ssl-min-ver TLSv1.3
        defaults
          mode http
          timeout connect 5s
          timeout client 3600s
          timeout server 3600s
          timeout http-keep-alive 3600s
          http-reuse always
        frontend plain
          bind 127.0.0.1:{{HaproxyHttp}} backlog 4096
          http-request set-header x-a one
          http-request set-header x-b two
          use_backend plain if { path_beg / }
        frontend secure
          bind 127.0.0.1:{{HaproxyTls}} ssl crt {{directory}}/both.pem ca-file {{directory}}/ca.pem verify required no-tls-tickets
          http-request set-header x-a one
          http-request set-header x-b two
          use_backend secure if { path_beg / }
        frontend bytes
          mode tcp
          bind 127.0.0.1:{{HaproxyTcp}}
          default_backend bytes
        backend plain
          balance leastconn
        {{string.Concat(Enumerable.Range(0, 4).Select(i => $"  server s{i} 127.0.0.1:{Backend + i}\n"))}}
        backend secure
          balance leastconn
        {{string.Concat(Enumerable.Range(0, 4).Select(i => $"  server s{i} 127.0.0.1:{TlsBackend + i} ssl crt {directory}/both.pem ca-file {directory}/ca.pem verify required sni str(bench)\n"))}}
        backend bytes
          mode tcp
          server s 127.0.0.1:{{EchoBackend}}

        """;

    const string HaproxyDefaults = """
        global
          nbthread 1
          ssl-default-bind-options ssl-min-ver TLSv1.3
        defaults
          mode http
          timeout connect 5s
          timeout client 3600s
          timeout server 3600s
          http-reuse always

        """;

    /// <summary>Before an application: takes requests in the clear, sends them on by mutual TLS.</summary>
    public static string HaproxyOut(string directory) => HaproxyDefaults + $"""
        frontend outbound
          bind 127.0.0.1:{HaproxyOutbound}
          http-request set-header x-a one
          http-request set-header x-b two
          default_backend peer
        backend peer
          server s 127.0.0.1:{HaproxyInbound} ssl crt {directory}/both.pem ca-file {directory}/ca.pem verify required sni str(bench)

        """;

    /// <summary>Behind it: the other way round.</summary>
    public static string HaproxyIn(string directory) => HaproxyDefaults + $"""
        frontend inbound
          bind 127.0.0.1:{HaproxyInbound} ssl crt {directory}/both.pem ca-file {directory}/ca.pem verify required
          http-request set-header x-a one
          http-request set-header x-b two
          default_backend application
        backend application
          server s 127.0.0.1:{Backend}

        """;

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

    static string Tls(string directory, bool isServer) =>
        "transport_socket: {name: tls, typed_config: {\"@type\": " + TypePrefix + "extensions.transport_sockets.tls.v3." + (isServer ? "DownstreamTlsContext, require_client_certificate: true" : "UpstreamTlsContext, sni: bench")
        + $", common_tls_context: {{tls_params: {{tls_minimum_protocol_version: TLSv1_3}}, tls_certificates: [{{certificate_chain: {{filename: {directory}/cert.pem}}, private_key: {{filename: {directory}/key.pem}}}}], "
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
    public static string Weir(string directory, int version)
    {
        var text = new StringBuilder(Weir(directory)
            .Replace("connect_timeout: 5s", $"connect_timeout: {5 + (version % 5)}s", StringComparison.Ordinal)
            .Replace($"tls_certificates: [{{certificate_chain: {{filename: {directory}/cert.pem}}, private_key: {{filename: {directory}/key.pem}}}}]", "tls_certificate_sds_secret_configs: [{name: identity, sds_config: {ads: {}}}]", StringComparison.Ordinal));
        text.Append("- \"@type\": ").Append(TypePrefix).Append("extensions.transport_sockets.tls.v3.Secret\n  name: identity\n  tls_certificate:\n    certificate_chain: {inline_string: ")
            .Append(System.Text.Json.JsonSerializer.Serialize(File.ReadAllText($"{directory}/cert.pem"))).Append("}\n    private_key: {inline_string: ")
            .Append(System.Text.Json.JsonSerializer.Serialize(File.ReadAllText($"{directory}/key.pem"))).Append("}\n");
        if (version % 2 == 1)
        {
            text.Append(Cluster("sometimes", Backend, 1 + (version % 4))).Append(HttpListener("sometimes", WeirHttp + 9, "sometimes"));
        }

        return text.ToString();
    }

    public static string Weir(string directory) => "resources:\n"
        + Cluster("plain", Backend, 4) + Cluster("secure", TlsBackend, 4, Tls(directory, false)) + Cluster("bytes", EchoBackend, 1)
        + HttpListener("plain", WeirHttp, "plain") + HttpListener("secure", WeirTls, "secure", Tls(directory, true)) + TcpListener("bytes", WeirTcp, "bytes");

    /// <summary>One of two proxies of a mesh: from the client in the clear, to the other with mTLS.</summary>
    public static string WeirOutbound(string directory) => "resources:\n" + Cluster("peer", Inbound, 1, Tls(directory, false)) + HttpListener("outbound", Outbound, "peer");

    /// <summary>The other: mTLS from the first, in the clear to the application.</summary>
    public static string WeirInbound(string directory) => "resources:\n" + Cluster("application", Backend, 1) + HttpListener("inbound", Inbound, "application", Tls(directory, true));

    /// <summary>As the plain one, with clusters and endpoints that a large mesh has.</summary>
    public static string WeirLarge(string directory, int clusters, int endpoints)
    {
        var text = new StringBuilder(Weir(directory));
        for (var i = 0; i < clusters; i++)
        {
            text.Append("- {\"@type\": ").Append(TypePrefix).Append("config.cluster.v3.Cluster, name: \"outbound|80||service-").Append(i).Append(".default.svc.cluster.local\", type: EDS, lb_policy: LEAST_REQUEST, eds_cluster_config: {eds_config: {ads: {}}}, ")
                .Append(Tls(directory, false)).Append("}\n- {\"@type\": ").Append(TypePrefix).Append("config.endpoint.v3.ClusterLoadAssignment, cluster_name: \"outbound|80||service-").Append(i)
                .Append(".default.svc.cluster.local\", endpoints: [{lb_endpoints: [")
                .AppendJoin(", ", Enumerable.Range(0, endpoints).Select(e => $"{{endpoint: {{address: {{socket_address: {{address: 10.{i / 250}.{i % 250}.{e + 1}, port_value: 8080}}}}}}}}"))
                .Append("]}]}\n");
        }

        return text.ToString();
    }
}
