using System.Net;
using System.Text;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>HTTP/2 through the proxy, with .NET's own client and an upstream of either version.</summary>
public class Http2ProxyTests
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    static HttpClient Client() => new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false });

    static HttpRequestMessage Request(ProxyHarness proxy, HttpMethod method, string path) =>
        new(method, $"http://127.0.0.1:{proxy.Port}{path}") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };

    /// <summary>Makes a cluster speak HTTP/2 to its endpoints.</summary>
    internal static void SpeakHttp2(Cluster cluster)
    {
        var options = new Envoy.Extensions.Upstreams.Http.V3.HttpProtocolOptions { ExplicitHttpConfig = new() { Http2ProtocolOptions = new Http2ProtocolOptions() } };
        cluster.TypedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"] =
            new Any { TypeUrl = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", Value = options.ToByteString() };
    }

    [Fact]
    public async Task A_client_with_prior_knowledge_is_served_by_an_upstream_of_the_old_version()
    {
        await using var proxy = new ProxyHarness();
        var (port, head) = proxy.Recording(Ok);
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(To("c")));
        using var client = Client();

        using var answer = await client.SendAsync(Request(proxy, HttpMethod.Get, "/a?b=c"));

        Assert.Equal(HttpVersion.Version20, answer.Version);
        Assert.Equal("ok", await answer.Content.ReadAsStringAsync());
        Assert.StartsWith($"GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:{proxy.Port}\r\n", await head, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_proxies_speak_it_with_each_other()
    {
        await using var second = new ProxyHarness();
        await using var first = new ProxyHarness();
        second.Clusters(("c", [second.Answering(Ok)]));
        Assert.Null(second.Routes(To("c")));
        Assert.Null(first.Cluster("c", [second.Port], SpeakHttp2));
        Assert.Null(first.Routes(To("c")));
        using var client = Client();

        for (var i = 0; i < 3; i++)
        {
            using var answer = await client.SendAsync(Request(first, HttpMethod.Get, "/"));
            Assert.Equal("ok", await answer.Content.ReadAsStringAsync());
        }

        Assert.EndsWith("ok", await first.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Content_goes_both_ways_through_both_versions()
    {
        await using var second = new ProxyHarness();
        await using var first = new ProxyHarness();
        var echo = second.Upstream(async stream =>
        {
            var head = await ReadHeadAsync(stream);
            var body = await ReadChunksAsync(stream);
            await WriteAsync(stream, $"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body.Length:x}\r\n{body}\r\n0\r\nX-Sum: {body.Length}\r\n\r\n");
        });
        second.Clusters(("c", [echo]));
        second.Routes(To("c"));
        first.Cluster("c", [second.Port], SpeakHttp2);
        first.Routes(To("c"));
        using var client = Client();
        var text = new string('x', 1_000_000);
        using var request = Request(first, HttpMethod.Post, "/");
        request.Content = new StreamContent(new MemoryStream(Encoding.ASCII.GetBytes(text)));
        request.Headers.TransferEncodingChunked = true;
        request.Content.Headers.ContentLength = null;

        using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseContentRead, new CancellationTokenSource(TimeSpan.FromSeconds(20)).Token);

        Assert.Equal(text, await answer.Content.ReadAsStringAsync());
        Assert.Equal("1000000", answer.TrailingHeaders.GetValues("X-Sum").Single());
    }

    [Fact]
    public async Task Many_streams_share_a_connection()
    {
        await using var second = new ProxyHarness();
        await using var first = new ProxyHarness();
        second.Clusters(("c", [second.Answering(Ok)]));
        second.Routes(To("c"));
        first.Cluster("c", [second.Port], SpeakHttp2);
        first.Routes(To("c"));
        using var client = Client();

        var answers = await Task.WhenAll(Enumerable.Range(0, 500).Select(async i =>
        {
            using var answer = await client.SendAsync(Request(first, HttpMethod.Get, $"/{i}"));
            return await answer.Content.ReadAsStringAsync();
        }));

        Assert.All(answers, a => Assert.Equal("ok", a));
    }
}
