using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Envoy.Config.Core.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Clients and a server of HTTP/2 that others have written, through one proxy and two.</summary>
public sealed class Http2ToolsTests : IDisposable
{
    const int Large = 3_000_000;

    readonly TestCertificates certificates = new();
    readonly string directory = Directory.CreateTempSubdirectory("weir-http2").FullName;

    public void Dispose()
    {
        certificates.Dispose();
        Directory.Delete(directory, recursive: true);
    }

    /// <summary>An upstream of HTTP/1.1: a small answer, a large one, and how much was posted.</summary>
    static int Upstream(ProxyHarness proxy) => proxy.Upstream(async stream =>
    {
        await using var reader = new BufferedStream(stream);
        string head;
        while ((head = await ReadHeadAsync(reader)).Length > 0)
        {
            var length = Regex.Match(head, "content-length: ([0-9]+)", RegexOptions.IgnoreCase) is { Success: true } found
                ? int.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture) : 0;
            await reader.ReadExactlyAsync(new byte[length]);
            await WriteAsync(stream, head.StartsWith("GET /large", StringComparison.Ordinal)
                ? $"HTTP/1.1 200 OK\r\nContent-Length: {Large}\r\n\r\n{new string('x', Large)}"
                : $"HTTP/1.1 200 OK\r\nContent-Length: {length.ToString(CultureInfo.InvariantCulture).Length}\r\n\r\n{length}");
        }
    });

    static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        string output;
        try
        {
            output = await process.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(30));
        }
        catch (TimeoutException)
        {
            process.Kill();
            throw;
        }

        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output.Trim() : $"exit {process.ExitCode}: {output}{await errors}";
    }

    static async Task ForEachPathAsync(Func<ProxyPath, Task> test)
    {
        await using var upstream = new ProxyHarness();
        var port = Upstream(upstream);
        foreach (var between in Enum.GetValues<Between>())
        {
            await using var path = ProxyPath.To(between, port, _ => { });
            try
            {
                await test(path);
            }
            catch (TimeoutException e)
            {
                throw new TimeoutException($"through {between}", e);
            }
        }
    }

    [ToolFact("curl")]
    public Task Curl_with_prior_knowledge() => ForEachPathAsync(async path =>
    {
        var file = Path.Combine(directory, "body");
        await File.WriteAllBytesAsync(file, new byte[Large]);

        // A run for each: this version of curl cannot use a connection again that it opened with prior knowledge.
        Task<string> AskAsync(params string[] arguments) => RunAsync("curl", ["-sS", "--http2-prior-knowledge", "--max-time", "20", .. arguments]);
        Assert.Equal("0 2 200", await AskAsync("-w", " %{http_version} %{http_code}", path.Url + "/"));
        Assert.Equal($"2 {Large}", await AskAsync("-o", "/dev/null", "-w", "%{http_version} %{size_download}", path.Url + "/large"));
        Assert.Equal($"{Large} 2", await AskAsync("--data-binary", "@" + file, "-w", " %{http_version}", path.Url + "/post"));
    });

    [ToolFact("curl")]
    public async Task Curl_over_tls()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [Upstream(proxy)]));
        var context = new DownstreamTlsContext { CommonTlsContext = new CommonTlsContext() };
        context.CommonTlsContext.TlsCertificates.Add(TestCertificates.ToXds(certificates.Issue("127.0.0.1")));
        context.CommonTlsContext.AlpnProtocols.Add(["h2", "http/1.1"]);
        Assert.Null(proxy.Listen(l =>
        {
            var chain = ProxyHarness.Http(_ => { }, To("c"));
            chain.TransportSocket = Downstream(context);
            l.FilterChains.Add(chain);
        }));
        var authority = Path.Combine(directory, "authority.pem");
        await File.WriteAllTextAsync(authority, certificates.AuthorityPem);
        var url = $"https://127.0.0.1:{proxy.Port}/";

        Assert.Equal("0 2", await RunAsync("curl", "-sS", "--http2", "--cacert", authority, "-w", " %{http_version}", url));
        Assert.Equal("0 1.1", await RunAsync("curl", "-sS", "--http1.1", "--cacert", authority, "-w", " %{http_version}", url));
        Assert.Equal("0 2", await RunAsync("curl", "-sS", "--http2", "--tls-max", "1.2", "--cacert", authority, "-w", " %{http_version}", url));
    }

    [ToolFact("nghttp")]
    public Task Nghttp() => ForEachPathAsync(async path =>
    {
        var file = Path.Combine(directory, "body");
        await File.WriteAllBytesAsync(file, new byte[Large]);

        Assert.Equal(Large, (await RunAsync("nghttp", path.Url + "/large")).Length);
        Assert.Equal(Large.ToString(CultureInfo.InvariantCulture), await RunAsync("nghttp", "-d", file, path.Url + "/post"));

        // Small frames, a small window, padding, trailers, and pieces of heads in CONTINUATION frames.
        Assert.Equal(Large.ToString(CultureInfo.InvariantCulture), await RunAsync("nghttp", "-w", "10", "-W", "10", "-b", "64", "--trailer", "a: b", "--continuation", "-d", file, path.Url + "/post"));
        Assert.Equal(Large, (await RunAsync("nghttp", "-w", "10", "-W", "10", "-m", "1", path.Url + "/large")).Length);
    });

    [ToolFact("h2load")]
    public Task H2load() => ForEachPathAsync(async path =>
    {
        var output = await RunAsync("h2load", "-n", "10000", "-c", "10", "-m", "100", path.Url + "/");

        Assert.True(output.Contains("10000 done, 10000 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 10000 2xx", StringComparison.Ordinal), output);
    });

    [ToolFact("h2load")]
    public Task H2load_with_bodies() => ForEachPathAsync(async path =>
    {
        var file = Path.Combine(directory, "body");
        await File.WriteAllBytesAsync(file, new byte[20_000]);

        Assert.Contains("2000 succeeded, 0 failed, 0 errored", await RunAsync("h2load", "-n", "2000", "-c", "10", "-m", "20", "-d", file, path.Url + "/post"));
    });

    [ToolFact("h2load")]
    public Task H2load_of_large_answers() => ForEachPathAsync(
        async path => Assert.Contains("200 succeeded, 0 failed, 0 errored", await RunAsync("h2load", "-n", "200", "-c", "4", "-m", "10", path.Url + "/large")));

    [ToolFact("nghttpd")]
    public async Task Nghttpd_as_upstream()
    {
        await File.WriteAllTextAsync(Path.Combine(directory, "index.html"), "hello");
        await File.WriteAllBytesAsync(Path.Combine(directory, "large"), new byte[Large]);
        var port = FreePort();
        using var server = Process.Start(new ProcessStartInfo(
            "nghttpd", ["--no-tls", "-a", "127.0.0.1", "-d", directory, "--trailer", "x-trailer: yes", port.ToString(CultureInfo.InvariantCulture)]))!;
        try
        {
            Assert.True(SpinWait.SpinUntil(() => CanConnect(port), TimeSpan.FromSeconds(10)));
            foreach (var between in Enum.GetValues<Between>())
            {
                await using var path = ProxyPath.To(between, port);
                using var client = new HttpClient { DefaultRequestVersion = System.Net.HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };

                var bodies = await Task.WhenAll(Enumerable.Range(0, 300).Select(_ => client.GetStringAsync(path.Url + "/")));
                using var large = await client.GetAsync(path.Url + "/large");

                Assert.All(bodies, b => Assert.Equal("hello", b));
                Assert.Equal(Large, (await large.Content.ReadAsByteArrayAsync()).Length);
                Assert.Equal("yes", large.TrailingHeaders.GetValues("x-trailer").Single());

                // From a client of HTTP/1.1 as well.
                Assert.Contains("hello", await path.First.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
            }
        }
        finally
        {
            server.Kill();
        }
    }

    static bool CanConnect(int port)
    {
        try
        {
            using var probe = new System.Net.Sockets.TcpClient("127.0.0.1", port);
            return true;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return false;
        }
    }
}
