namespace Weir.Proxy.Bench;

/// <summary>nginx, for the same work as the others.</summary>
static class NginxConfiguration
{
    public static string Plain(string directory) => $$"""
        worker_processes 1; daemon off; pid {{directory}}/nginx.pid; error_log /dev/null;
        events { worker_connections 19000; }
        http {
          access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
          client_body_temp_path {{directory}}/n1; proxy_temp_path {{directory}}/n2; fastcgi_temp_path {{directory}}/n3; uwsgi_temp_path {{directory}}/n4; scgi_temp_path {{directory}}/n5;
          upstream backend { least_conn; keepalive 256; keepalive_requests 1000000000; {{string.Concat(Enumerable.Range(0, 4).Select(i => $"server 127.0.0.1:{Ports.Backend + i}; "))}} }
          server {
            listen 127.0.0.1:{{Ports.NginxHttp}} backlog=4096;
            location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header x-a one; proxy_set_header x-b two; }
          }
        }
        """;

    /// <summary>HTTP/2 with prior knowledge on both sides, by its module for gRPC: the only one that speaks HTTP/2 to upstreams.</summary>
    public static string InClearHttp2(string directory) => Grpc(directory, "nginx-h2", $$"""
          upstream backend { least_conn; keepalive 1024; keepalive_requests 1000000000; {{string.Concat(Enumerable.Range(0, 4).Select(i => $"server 127.0.0.1:{Ports.Http2Backend + i}; "))}} }
          server {
            listen 127.0.0.1:{{Ports.NginxHttp2}} http2 backlog=4096;
            location / { grpc_pass grpc://backend; grpc_set_header x-a one; grpc_set_header x-b two; }
          }
        """);

    /// <summary>Before an application: takes calls in the clear, sends them on by mutual TLS.</summary>
    public static string GrpcOutbound(string directory) => Grpc(directory, "nginx-out", $$"""
          upstream peer { keepalive 1024; keepalive_requests 1000000000; server 127.0.0.1:{{Ports.NginxInbound}}; }
          server {
            listen 127.0.0.1:{{Ports.NginxOutbound}} http2 backlog=4096;
            location / {
              grpc_pass grpcs://peer; grpc_set_header x-a one; grpc_set_header x-b two;
              grpc_ssl_certificate {{directory}}/cert.pem; grpc_ssl_certificate_key {{directory}}/key.pem; grpc_ssl_trusted_certificate {{directory}}/ca.pem;
              grpc_ssl_verify on; grpc_ssl_name bench; grpc_ssl_server_name on; grpc_ssl_protocols TLSv1.3;
            }
          }
        """);

    /// <summary>Behind it: the other way round.</summary>
    public static string GrpcInbound(string directory) => Grpc(directory, "nginx-in", $$"""
          upstream application { keepalive 1024; keepalive_requests 1000000000; server 127.0.0.1:{{Ports.GrpcBackend}}; }
          server {
            listen 127.0.0.1:{{Ports.NginxInbound}} ssl http2 backlog=4096;
            ssl_certificate {{directory}}/cert.pem; ssl_certificate_key {{directory}}/key.pem; ssl_client_certificate {{directory}}/ca.pem; ssl_verify_client on; ssl_protocols TLSv1.3;
            location / { grpc_pass grpc://application; grpc_set_header x-a one; grpc_set_header x-b two; }
          }
        """);

    static string Grpc(string directory, string name, string body) => $$"""
        worker_processes 1; daemon off; pid {{directory}}/{{name}}.pid; error_log /dev/null;
        events { worker_connections 19000; }
        http {
          access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; client_max_body_size 0; grpc_read_timeout 3600s; client_body_timeout 3600s;
          client_body_temp_path {{directory}}/{{name}}1; proxy_temp_path {{directory}}/{{name}}2; fastcgi_temp_path {{directory}}/{{name}}3; uwsgi_temp_path {{directory}}/{{name}}4; scgi_temp_path {{directory}}/{{name}}5;
        {{body}}
        }
        """;
}
