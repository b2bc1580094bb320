using System.Net;
using System.Net.Security;
using System.Text;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;
using Codec = Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager.Types.CodecType;
using UpstreamOptions = Envoy.Extensions.Upstreams.Http.V3.HttpProtocolOptions;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Which version of HTTP is spoken, on both sides.</summary>
public sealed class CodecTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    readonly TestCertificates certificates = new();

    public void Dispose() => certificates.Dispose();

    /// <summary>.NET's client, which asks for this version and no other; the protocol names are what it offers in a handshake.</summary>
    async Task<HttpResponseMessage> AskAsync(ProxyHarness proxy, Version version, string scheme = "http")
    {
        using var client = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = certificates.Accepts },
        })
        { Timeout = TimeSpan.FromSeconds(10) };
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{scheme}://127.0.0.1:{proxy.Port}/") { Version = version, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        return await client.SendAsync(request);
    }

    [Theory]
    [InlineData(Codec.Auto, "1.1", true)]
    [InlineData(Codec.Auto, "2.0", true)]
    [InlineData(Codec.Http1, "1.1", true)]
    [InlineData(Codec.Http1, "2.0", false)]
    [InlineData(Codec.Http2, "1.1", false)]
    [InlineData(Codec.Http2, "2.0", true)]
    public async Task In_the_clear_the_codec_decides_which_versions_are_spoken(Codec codec, string version, bool isServed)
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(h => h.CodecType = codec, To("c")));

        if (isServed)
        {
            using var answer = await AskAsync(proxy, Version.Parse(version));
            Assert.Equal((HttpStatusCode.OK, version), (answer.StatusCode, answer.Version.ToString()));
        }
        else
        {
            await Assert.ThrowsAsync<HttpRequestException>(() => AskAsync(proxy, Version.Parse(version)));
        }

        Assert.Equal(codec == Codec.Http2 ? "" : "HTTP/1.1", Text(await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 8));
    }

    /// <summary>A server of HTTP/2 answers a stranger with frames, if with anything.</summary>
    static string Text(string answer, int length) => answer.StartsWith("HTTP/", StringComparison.Ordinal) ? answer[..length] : "";

    void ListenTls(ProxyHarness proxy, Codec codec, params string[] protocols)
    {
        var context = new DownstreamTlsContext { CommonTlsContext = new CommonTlsContext() };
        context.CommonTlsContext.TlsCertificates.Add(TestCertificates.ToXds(certificates.Issue("a.example")));
        context.CommonTlsContext.AlpnProtocols.Add(protocols);
        Assert.Null(proxy.Listen(l =>
        {
            var chain = ProxyHarness.Http(h => h.CodecType = codec, To("c"));
            chain.TransportSocket = Downstream(context);
            l.FilterChains.Add(chain);
        }));
    }

    [Theory]
    [InlineData(Codec.Auto, "2.0", "h2", "http/1.1")]
    [InlineData(Codec.Auto, "1.1", "h2", "http/1.1")]
    [InlineData(Codec.Auto, "1.1", "http/1.1")]
    [InlineData(Codec.Http2, "2.0", "h2")]
    [InlineData(Codec.Http1, "1.1", "http/1.1")]
    public async Task With_tls_the_handshake_decides(Codec codec, string version, params string[] protocols)
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        ListenTls(proxy, codec, protocols);

        using var answer = await AskAsync(proxy, Version.Parse(version), "https");

        Assert.Equal((HttpStatusCode.OK, version), (answer.StatusCode, answer.Version.ToString()));
    }

    [Theory]
    [InlineData(Codec.Auto, true)]
    [InlineData(Codec.Http2, true)]
    [InlineData(Codec.Http1, false)]
    public async Task A_client_that_chose_nothing_in_the_handshake_may_still_have_prior_knowledge(Codec codec, bool isServed)
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        ListenTls(proxy, codec);
        await using var stream = new SslStream(await proxy.ConnectAsync());
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "a.example", RemoteCertificateValidationCallback = certificates.Accepts });

        await stream.WriteAsync(Encoding.ASCII.GetBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        await stream.WriteAsync(new byte[] { 0, 0, 0, 4, 0, 0, 0, 0, 0 });
        var answer = await ReadAsync(stream, t => t.Length >= 9);

        // SETTINGS, or a refusal in words.
        Assert.Equal(isServed, answer[3] == 4 && answer[4] == 0);
        Assert.Equal(!isServed, answer.StartsWith("HTTP/1.1 4", StringComparison.Ordinal) || answer.StartsWith("HTTP/1.1 5", StringComparison.Ordinal));
    }

    static void Configure(Cluster cluster, UpstreamOptions options) =>
        cluster.TypedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"] = Pack(XdsTypes.HttpProtocolOptions, options);

    [Theory]
    [InlineData("1.1")]
    [InlineData("2.0")]
    public async Task A_cluster_may_follow_its_clients(string version)
    {
        await using var last = new ProxyHarness();
        await using var first = new ProxyHarness();
        last.Clusters(("c", [last.Answering(Ok)]));
        Assert.Null(last.Routes(h => h.CodecType = version == "2.0" ? Codec.Http2 : Codec.Http1, To("c")));
        Assert.Null(first.Cluster("c", [last.Port], c => Configure(c, new UpstreamOptions
        {
            UseDownstreamProtocolConfig = new UpstreamOptions.Types.UseDownstreamHttpConfig { HttpProtocolOptions = new Http1ProtocolOptions(), Http2ProtocolOptions = new Http2ProtocolOptions() },
        })));
        Assert.Null(first.Routes(To("c")));

        for (var i = 0; i < 3; i++)
        {
            using var answer = await AskAsync(first, Version.Parse(version));
            Assert.Equal((HttpStatusCode.OK, version), (answer.StatusCode, answer.Version.ToString()));
        }
    }

    [Theory]
    [InlineData(Codec.Http2, "h2")]
    [InlineData(Codec.Http1, "http/1.1")]
    [InlineData(Codec.Http1)]
    [InlineData(Codec.Auto, "http/1.1", "h2")]
    [InlineData(Codec.Auto, "h2", "http/1.1")]
    public async Task A_cluster_may_let_the_handshake_decide(Codec codec, params string[] protocols)
    {
        await using var last = new ProxyHarness();
        await using var first = new ProxyHarness();
        last.Clusters(("c", [last.Answering(Ok)]));
        ListenTls(last, codec, protocols);
        Assert.Null(first.Cluster("c", [last.Port], c =>
        {
            Configure(c, new UpstreamOptions { AutoConfig = new UpstreamOptions.Types.AutoHttpConfig { HttpProtocolOptions = new Http1ProtocolOptions(), Http2ProtocolOptions = new Http2ProtocolOptions() } });
            c.TransportSocket = ProxyHarness.Upstream(new UpstreamTlsContext { CommonTlsContext = new CommonTlsContext { ValidationContext = certificates.Trust() } });
        }));
        Assert.Null(first.Routes(To("c")));

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => AskAsync(first, i % 2 == 0 ? HttpVersion.Version11 : HttpVersion.Version20)));
        using var after = await AskAsync(first, HttpVersion.Version11);

        Assert.All([.. answers, after], a => Assert.Equal(HttpStatusCode.OK, a.StatusCode));
    }
}
