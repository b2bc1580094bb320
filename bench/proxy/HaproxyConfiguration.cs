namespace Weir.Proxy.Bench;

/// <summary>HAProxy, for the same work as the others.</summary>
static class HaproxyConfiguration
{
    public static string Plain(string directory) => $$"""
        global
          maxconn {{Ports.Connections}}
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
          bind 127.0.0.1:{{Ports.HaproxyHttp}} backlog 4096
          http-request set-header x-a one
          http-request set-header x-b two
          use_backend plain if { path_beg / }
        frontend secure
          bind 127.0.0.1:{{Ports.HaproxyTls}} ssl crt {{directory}}/both.pem ca-file {{directory}}/ca.pem verify required no-tls-tickets
          http-request set-header x-a one
          http-request set-header x-b two
          use_backend secure if { path_beg / }
        frontend bytes
          mode tcp
          bind 127.0.0.1:{{Ports.HaproxyTcp}}
          default_backend bytes
        backend plain
          balance leastconn
        {{string.Concat(Enumerable.Range(0, 4).Select(i => $"  server s{i} 127.0.0.1:{Ports.Backend + i}\n"))}}
        backend secure
          balance leastconn
        {{string.Concat(Enumerable.Range(0, 4).Select(i => $"  server s{i} 127.0.0.1:{Ports.TlsBackend + i} ssl crt {directory}/both.pem ca-file {directory}/ca.pem verify required sni str(bench)\n"))}}
        backend bytes
          mode tcp
          server s 127.0.0.1:{{Ports.EchoBackend}}

        """;

    const string Defaults = """
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
    /// <param name="isHttp2">Between the two.</param>
    /// <param name="isHttp2Outside">Of the application.</param>
    public static string Outbound(string directory, bool isHttp2, bool isHttp2Outside) => Defaults + $"""
        frontend outbound
          bind 127.0.0.1:{Ports.HaproxyOutbound}{(isHttp2Outside ? " proto h2" : "")}
          http-request set-header x-a one
          http-request set-header x-b two
          default_backend peer
        backend peer
          server s 127.0.0.1:{Ports.HaproxyInbound} ssl crt {directory}/both.pem ca-file {directory}/ca.pem verify required sni str(bench){(isHttp2 ? " alpn h2" : "")}

        """;

    /// <summary>Behind it: the other way round.</summary>
    public static string Inbound(string directory, bool isHttp2, bool isHttp2Outside) => Defaults + $"""
        frontend inbound
          bind 127.0.0.1:{Ports.HaproxyInbound} ssl crt {directory}/both.pem ca-file {directory}/ca.pem verify required{(isHttp2 ? " alpn h2" : "")}
          http-request set-header x-a one
          http-request set-header x-b two
          default_backend application
        backend application
          server s 127.0.0.1:{(isHttp2Outside ? $"{Ports.GrpcBackend} proto h2" : Ports.Backend)}

        """;

    /// <summary>HTTP/2 with prior knowledge on both sides.</summary>
    public static string InClearHttp2() => Defaults + $$"""
        frontend plain
          bind 127.0.0.1:{{Ports.HaproxyHttp2}} proto h2
          http-request set-header x-a one
          http-request set-header x-b two
          use_backend plain if { path_beg / }
        backend plain
          balance leastconn
        {{string.Concat(Enumerable.Range(0, 4).Select(i => $"  server s{i} 127.0.0.1:{Ports.Http2Backend + i} proto h2\n"))}}
        """;
}
