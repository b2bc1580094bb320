using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Envoy.Config.Core.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Envoy.Type.Matcher.V3;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>Peers that are known by their certificate or key, and peers that are believed whatever they say.</summary>
public sealed class PinTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Name = "spiffe://test/ns/a/sa/client";

    readonly TestCertificates certificates = new();
    readonly TestCertificates strangers = new("strangers");
    readonly X509Certificate2 known;

    public PinTests() => known = strangers.Issue(Name);

    public void Dispose()
    {
        known.Dispose();
        certificates.Dispose();
        strangers.Dispose();
    }

    static string HashOf(X509Certificate2 certificate) => Convert.ToHexString(SHA256.HashData(certificate.RawData));

    static string KeyHashOf(X509Certificate2 certificate) => Convert.ToBase64String(SHA256.HashData(certificate.PublicKey.ExportSubjectPublicKeyInfo()));

    string? Listen(ProxyHarness proxy, CertificateValidationContext validation)
    {
        proxy.Cluster("inbound|80||", [proxy.Answering(Ok)], _ => { });
        return proxy.Listen(l =>
        {
            var context = new DownstreamTlsContext { CommonTlsContext = new CommonTlsContext { ValidationContext = validation }, RequireClientCertificate = true };
            context.CommonTlsContext.TlsCertificates.Add(TestCertificates.ToXds(certificates.Issue("a.example")));
            var chain = ProxyHarness.Http(_ => { }, To("inbound|80||"));
            chain.TransportSocket = Downstream(context);
            l.TrafficDirection = TrafficDirection.Inbound;
            l.FilterChains.Add(chain);
        });
    }

    async Task<bool> IsServedAsync(ProxyHarness proxy, X509Certificate2 shown)
    {
        try
        {
            await using var stream = new SslStream(await proxy.ConnectAsync());
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "a.example",
                RemoteCertificateValidationCallback = certificates.Accepts,
                ClientCertificates = [shown],
            });
            await WriteAsync(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            return (await ReadAsync(stream, t => t.EndsWith("ok", StringComparison.Ordinal))).StartsWith("HTTP/1.1 200", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            return false;
        }
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Without_an_authority_a_client_is_known_by_the_hash_of_its_certificate_or_key(bool byCertificate, bool byKey)
    {
        await using var proxy = new ProxyHarness();
        using var other = strangers.Issue(Name);
        var validation = new CertificateValidationContext();

        // Where both kinds are given, one that matches is enough.
        validation.VerifyCertificateHash.AddRange(byCertificate ? [HashOf(known)] : byKey ? [] : [HashOf(other)]);
        validation.VerifyCertificateSpki.AddRange(byKey ? [byCertificate ? Convert.ToBase64String(new byte[32]) : KeyHashOf(known)] : []);
        Assert.Null(Listen(proxy, validation));

        Assert.True(await IsServedAsync(proxy, known));
        Assert.False(await IsServedAsync(proxy, other));
        Assert.False(await IsServedAsync(proxy, certificates.Issue(Name)));
        SpinWait.SpinUntil(() => proxy.Stats.All.Any(s => s.Labels.SourcePrincipal == Name && s.All.Any()), TimeSpan.FromSeconds(5));
        Assert.Contains(proxy.Stats.All, s => s.Labels.SourcePrincipal == Name);
    }

    [Fact]
    public async Task With_an_authority_both_must_be_right()
    {
        await using var proxy = new ProxyHarness();
        using var trusted = certificates.Issue(Name);
        var validation = new CertificateValidationContext { TrustedCa = new DataSource { InlineString = certificates.AuthorityPem } };
        validation.VerifyCertificateHash.AddRange([HashOf(trusted), HashOf(known)]);
        Assert.Null(Listen(proxy, validation));

        Assert.True(await IsServedAsync(proxy, trusted));
        Assert.False(await IsServedAsync(proxy, known));
        Assert.False(await IsServedAsync(proxy, certificates.Issue(Name)));
    }

    [Fact]
    public async Task An_upstream_is_known_by_its_key_without_an_authority()
    {
        await using var proxy = new ProxyHarness();
        async Task ServeAsync(Stream s)
        {
            await using var tls = new SslStream(s);
            await tls.AuthenticateAsServerAsync(known);
            await ReadHeadAsync(tls);
            await WriteAsync(tls, Ok);
        }

        var port = proxy.Upstream(s => ServeAsync(s));
        Envoy.Config.Core.V3.TransportSocket Pinned(string hash)
        {
            var context = new UpstreamTlsContext { CommonTlsContext = new CommonTlsContext { ValidationContext = new CertificateValidationContext() } };
            context.CommonTlsContext.ValidationContext.VerifyCertificateSpki.Add(hash);
            return ProxyHarness.Upstream(context);
        }

        proxy.Routes(To("c"));
        Assert.Null(proxy.Cluster("c", [port], c => c.TransportSocket = Pinned(KeyHashOf(known))));
        Assert.EndsWith("ok", await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\n\r\n", t => t.EndsWith("ok", StringComparison.Ordinal)));
        Assert.Null(proxy.Cluster("c", [port], c => c.TransportSocket = Pinned(Convert.ToBase64String(new byte[32]))));
        Assert.StartsWith("HTTP/1.1 503", await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    }

    [Fact]
    public async Task Names_that_nobody_vouches_for_are_not_counted_by()
    {
        await using var proxy = new ProxyHarness();
        Assert.Null(Listen(proxy, new CertificateValidationContext { TrustChainVerification = CertificateValidationContext.Types.TrustChainVerification.AcceptUntrusted }));

        Assert.True(await IsServedAsync(proxy, known));
        Assert.True(await IsServedAsync(proxy, strangers.Issue("spiffe://anything/at/all")));

        SpinWait.SpinUntil(() => proxy.Stats.All.SelectMany(s => s.All).Sum(s => s.Count) >= 2, TimeSpan.FromSeconds(5));
        Assert.Equal(["unknown"], proxy.Stats.All.Select(s => s.Labels.SourcePrincipal).Distinct());
    }

    public static TheoryData<CertificateValidationContext, string> Refused => new()
    {
        { new CertificateValidationContext(), "trusted_ca is missing" },
        { new CertificateValidationContext { MatchTypedSubjectAltNames = { new SubjectAltNameMatcher { SanType = SubjectAltNameMatcher.Types.SanType.Dns, Matcher = new StringMatcher { Exact = "a" } } } }, "trusted_ca is missing" },
        { new CertificateValidationContext { MatchTypedSubjectAltNames = { new SubjectAltNameMatcher { SanType = SubjectAltNameMatcher.Types.SanType.Dns } } }, "match_typed_subject_alt_names[0].matcher: it has no pattern" },
        { new CertificateValidationContext { MatchSubjectAltNames = { new StringMatcher() } }, "match_subject_alt_names[0]: it has no pattern" },
        { new CertificateValidationContext { VerifyCertificateHash = { "00" } }, "verify_certificate_hash: \"00\" is no SHA-256" },
        { new CertificateValidationContext { VerifyCertificateSpki = { "not base64" } }, "verify_certificate_spki: \"not base64\" is no SHA-256" },
        { new CertificateValidationContext { VerifyCertificateSpki = { Convert.ToBase64String(new byte[32]) }, Crl = new DataSource { InlineString = "x" } }, "crl: without trusted_ca" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task Trust_in_nobody_or_in_anybody_is_refused(CertificateValidationContext validation, string reason)
    {
        await using var proxy = new ProxyHarness();

        Assert.Contains(reason, Listen(proxy, validation));
        Assert.Contains(reason, proxy.Cluster("c", [1], c => c.TransportSocket = ProxyHarness.Upstream(new UpstreamTlsContext { CommonTlsContext = new CommonTlsContext { ValidationContext = validation } })));
    }
}
