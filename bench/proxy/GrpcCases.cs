namespace Weir.Proxy.Bench;

/// <summary>
/// gRPC through two proxies: in the clear outside, HTTP/2 by mutual TLS between them. The goal is against two HAProxies; two of nginx's
/// are there to see.
/// </summary>
sealed class GrpcCases(Bench bench)
{
    public void Run()
    {
        if (!bench.Wants("grpc"))
        {
            return;
        }

        Http2Backend.Listen(bench.Loop, Ports.At(Ports.GrpcBackend), Http2Answers.GrpcEcho);
        using var outbound = bench.Serve("grpc-outbound", WeirConfiguration.Outbound(bench.Folder, isHttp2: true, isHttp2Outside: true));
        using var inbound = bench.Serve("grpc-inbound", WeirConfiguration.Inbound(bench.Folder, isHttp2: true, isHttp2Outside: true));
        using var second = bench.StartWeir("grpc-weir-in", "grpc-inbound", Ports.Inbound);
        using var first = bench.StartWeir("grpc-weir-out", "grpc-outbound", Ports.Outbound);
        using var haproxySecond = bench.StartHaproxy("grpc-haproxy-in", HaproxyConfiguration.Inbound(bench.Folder, isHttp2: true, isHttp2Outside: true), Ports.HaproxyInbound);
        using var haproxyFirst = bench.StartHaproxy("grpc-haproxy-out", HaproxyConfiguration.Outbound(bench.Folder, isHttp2: true, isHttp2Outside: true), Ports.HaproxyOutbound);
        using var nginxSecond = bench.StartNginx("grpc-nginx-in", NginxConfiguration.GrpcInbound(bench.Folder), Ports.NginxInbound);
        using var nginxFirst = bench.StartNginx("grpc-nginx-out", NginxConfiguration.GrpcOutbound(bench.Folder), Ports.NginxOutbound);
        Entry[] entries =
        [
            new("weir", Ports.Outbound, [first, second]), new("haproxy", Ports.HaproxyOutbound, [haproxyFirst, haproxySecond]),
            new("nginx", Ports.NginxOutbound, [nginxFirst, nginxSecond], IsRival: false),
        ];

        // A message of 100 octets: not compressed, its length, and itself.
        var message = Path.Combine(bench.Folder, "message");
        File.WriteAllBytes(message, [0, 0, 0, 0, 100, .. Enumerable.Repeat((byte)'x', 100)]);
        var call = $"-d {message} -H 'content-type: application/grpc' -H 'te: trailers'";
        bench.Compare(
            "gRPC unary through two proxies with mTLS", "grpc", "µs CPU/call, both", 0.85, entries,
            (port, length) => H2Load.Run(port, length / 4, 105, "/bench.Echo/Unary", call), r => r.Requests / 1000.0);
        bench.Compare(
            "gRPC, one stream of 1 KiB messages both ways, the same path", "grpc", "µs CPU/message, both", 0.85, entries,
            (port, length) => GrpcStreamLoad.Run(bench.Loop, Ports.At(port), length), r => r.Requests / 1000.0);
    }
}
