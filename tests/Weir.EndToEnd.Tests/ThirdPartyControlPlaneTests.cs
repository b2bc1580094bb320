using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Weir.Proxy.Tests;

namespace Weir.EndToEnd.Tests;

/// <summary>A theory that needs gRPC's Python library, which Debian has as python3-grpcio.</summary>
sealed class GrpcioTheoryAttribute : TheoryAttribute
{
    static readonly Lazy<string?> Found = new(Find);

    public GrpcioTheoryAttribute()
    {
        if (Found.Value is null)
        {
            Skip = "there is no Python with grpcio here (Debian: python3-grpcio)";
        }
    }

    public static string Python => Found.Value ?? throw new InvalidOperationException("skipped");

    static string? Find() => Array.Find(["/usr/bin/python3", "python3"], python =>
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(python, ["-c", "import grpc"]) { RedirectStandardError = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    });
}

/// <summary>The proxy's program, pointed by a bootstrap file at a control plane that is not Weir's.</summary>
public sealed class ThirdPartyControlPlaneTests : IDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    readonly string directory = Directory.CreateTempSubdirectory("weir-ads-").FullName;
    readonly TestCertificates authority = new();
    readonly List<Process> processes = [];

    public void Dispose()
    {
        foreach (var process in processes)
        {
            if (!process.HasExited)
            {
                process.Kill();
                process.WaitForExit();
            }

            process.Dispose();
        }

        authority.Dispose();
        Directory.Delete(directory, recursive: true);
    }

    Process Start(string program, params string[] arguments)
    {
        var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        processes.Add(process);
        return process;
    }

    string Write(string name, string text)
    {
        var path = Path.Combine(directory, name);
        File.WriteAllText(path, text);
        return path;
    }

    (string Certificate, string Key) Issue(string name)
    {
        using var certificate = authority.Issue(name);
        return (Write($"{name}.pem", certificate.ExportCertificatePem()), Write($"{name}.key", certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()));
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    static async Task<JsonElement> EventAsync(Process server, string name, string? type = null)
    {
        while (await server.StandardOutput.ReadLineAsync().WaitAsync(Limit) is { } line)
        {
            var read = JsonDocument.Parse(line).RootElement;
            Assert.False(read.GetProperty("event").GetString() == "refused", line);
            if (read.GetProperty("event").GetString() == name && (type is null || read.GetProperty("type").GetString() == type))
            {
                return read;
            }
        }

        throw new IOException($"the server has ended: {await server.StandardError.ReadToEndAsync()}");
    }

    string Bootstrap(string apiType, int port, bool isTls)
    {
        var (certificate, key) = Issue("proxy");
        var tls = $$"""
            "transport_socket": { "name": "tls", "typed_config": {
              "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": "xds.test",
              "common_tls_context": {
                "tls_certificates": [{ "certificate_chain": { "filename": "{{certificate}}" }, "private_key": { "filename": "{{key}}" } }],
                "validation_context": { "trusted_ca": { "filename": "{{Write("ca.pem", authority.AuthorityPem)}}" } } } } },
            """;
        return Write("bootstrap.json", $$"""
            {
              "node": { "id": "from-the-file", "cluster": "edge", "locality": { "zone": "z" }, "metadata": { "a": 1 } },
              "layered_runtime": {},
              "dynamic_resources": { "ads_config": { "api_type": "{{apiType}}", "transport_api_version": "V3",
                "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds" } }] } },
              "static_resources": { "clusters": [{ "name": "xds", "type": "STATIC", {{(isTls ? tls : "")}}
                "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                  "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                  "explicit_http_config": { "http2_protocol_options": {} } } },
                "load_assignment": { "endpoints": [{ "lb_endpoints": [
                  { "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": {{port}} } } } }] }] } }] }
            }
            """);
    }

    [GrpcioTheory]
    [InlineData("DELTA_GRPC", "delta", true)]
    [InlineData("GRPC", "world", true)]
    [InlineData("DELTA_GRPC", "delta", false)]
    [InlineData("GRPC", "world", false)]
    public async Task The_proxy_follows_gRPCs_own_server(string apiType, string method, bool isTls)
    {
        var listenerPort = FreePort();
        var (certificate, key) = Issue("xds.test");
        string[] tls = isTls ? [certificate, key, Write("ca.pem", authority.AuthorityPem)] : [];
        var server = Start(GrpcioTheoryAttribute.Python, [Path.Combine(WeirProgram.Root, "tests/Weir.EndToEnd.Tests/ads_server.py"), $"{listenerPort}", .. tls]);
        var port = (await EventAsync(server, "listening")).GetProperty("port").GetInt32();

        var proxy = Start(WeirProgram.Proxy, "-c", Bootstrap(apiType, port, isTls), "--service-node", "edge-1");
        var errors = proxy.StandardError.ReadToEndAsync();
        Assert.Equal(method, (await EventAsync(server, "stream")).GetProperty("method").GetString());
        var node = await EventAsync(server, "node");
        await EventAsync(server, "accepted", "RouteConfiguration");
        using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{listenerPort}/") };
        var first = await client.GetStringAsync("");
        await server.StandardInput.WriteLineAsync("second");
        await EventAsync(server, "accepted", "RouteConfiguration");
        var second = await client.GetStringAsync("");
        using (var kill = Process.Start("kill", ["-TERM", $"{proxy.Id}"]))
        {
            await proxy.WaitForExitAsync().WaitAsync(Limit);
        }

        Assert.Equal(
            ("edge-1", "edge", "z", true),
            (node.GetProperty("id").GetString(), node.GetProperty("cluster").GetString(), node.GetProperty("zone").GetString(), node.GetProperty("metadata").GetBoolean()));
        Assert.Equal(("first", "second"), (first, second));
        Assert.Equal(0, proxy.ExitCode);
        Assert.Contains("bootstrap.json: layered_runtime: ignored", await errors, StringComparison.Ordinal);
    }

    /// <summary>gRPC's servers close connections on which pings come more often than every five minutes, unless told otherwise.</summary>
    [GrpcioTheory]
    [InlineData("0.1")]
    public async Task A_server_that_finds_pings_too_many_is_obeyed(string interval)
    {
        var server = Start(GrpcioTheoryAttribute.Python, Path.Combine(WeirProgram.Root, "tests/Weir.EndToEnd.Tests/ads_server.py"), $"{FreePort()}");
        var port = (await EventAsync(server, "listening")).GetProperty("port").GetInt32();
        var proxy = Start(WeirProgram.Proxy, "-c", Bootstrap("DELTA_GRPC", port, isTls: false), "--xds-ping-interval", interval, "--xds-ping-timeout", interval);
        while (await proxy.StandardError.ReadLineAsync().WaitAsync(Limit) is { } line)
        {
            if (line.Contains("from now on after 0.2 s of silence", StringComparison.Ordinal))
            {
                return;
            }
        }

        Assert.Fail("the proxy has ended");
    }
}
