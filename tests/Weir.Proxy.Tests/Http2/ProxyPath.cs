using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Proxy.Listeners;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What lies between a client and its upstream.</summary>
public enum Between
{
    OneProxy,
    TwoProxies,

    /// <summary>That show each other their certificates.</summary>
    TwoProxiesWithMutualTls,
}

/// <summary>One proxy or two, which speak HTTP/2 with each other, before an upstream.</summary>
sealed class ProxyPath : IAsyncDisposable
{
    readonly TestCertificates certificates = new();

    ProxyPath()
    {
    }

    public required ProxyHarness First { get; init; }

    public required ProxyHarness Last { get; init; }

    /// <param name="cluster">How the upstream is spoken to; HTTP/2 without TLS when left out.</param>
    /// <param name="listener">Applied at each proxy.</param>
    public static ProxyPath To(Between between, int upstream, Action<Cluster>? cluster = null, Action<HttpConnectionManager>? listener = null, EngineOptions? options = null)
    {
        var last = new ProxyHarness(options);
        var path = new ProxyPath { Last = last, First = between == Between.OneProxy ? last : new ProxyHarness(options) };
        Assert.Null(last.Cluster("c", [upstream], cluster ?? Http2ProxyTests.SpeakHttp2));
        var isSecure = between == Between.TwoProxiesWithMutualTls;
        Assert.Null(last.Listen(l =>
        {
            var chain = ProxyHarness.Http(listener ?? (_ => { }), ProxyHarness.To("c", TimeSpan.Zero));
            chain.TransportSocket = isSecure ? path.Server() : null;
            l.FilterChains.Add(chain);
        }));
        if (between != Between.OneProxy)
        {
            Assert.Null(path.First.Cluster("c", [last.Port], c =>
            {
                Http2ProxyTests.SpeakHttp2(c);
                c.TransportSocket = isSecure ? path.Client() : null;
            }));
            Assert.Null(path.First.Routes(listener ?? (_ => { }), ProxyHarness.To("c", TimeSpan.Zero)));
        }

        return path;
    }

    public int Port => First.Port;

    public string Url => $"http://127.0.0.1:{Port}";

    TransportSocket Server()
    {
        var common = new CommonTlsContext { ValidationContext = certificates.Trust("spiffe://test/ns/a/sa/first") };
        common.TlsCertificates.Add(TestCertificates.ToXds(certificates.Issue("spiffe://test/ns/a/sa/last")));
        common.AlpnProtocols.Add(["h2", "http/1.1"]);
        return Downstream(new DownstreamTlsContext { CommonTlsContext = common, RequireClientCertificate = true });
    }

    TransportSocket Client()
    {
        var common = new CommonTlsContext { ValidationContext = certificates.Trust("spiffe://test/ns/a/sa/last") };
        common.TlsCertificates.Add(TestCertificates.ToXds(certificates.Issue("spiffe://test/ns/a/sa/first")));
        return ProxyHarness.Upstream(new UpstreamTlsContext { CommonTlsContext = common });
    }

    public async ValueTask DisposeAsync()
    {
        await First.DisposeAsync();
        if (!ReferenceEquals(First, Last))
        {
            await Last.DisposeAsync();
        }

        certificates.Dispose();
    }
}
