using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Config.Listener.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public sealed class TlsTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const string Client = "spiffe://test/ns/a/sa/client";
    const string Server = "spiffe://test/ns/a/sa/server";

    readonly TestCertificates certificates = new();

    public void Dispose() => certificates.Dispose();

    static DownstreamTlsContext Context(params X509Certificate2[] shown)
    {
        var context = new DownstreamTlsContext { CommonTlsContext = new CommonTlsContext() };
        context.CommonTlsContext.TlsCertificates.Add(shown.Select(TestCertificates.ToXds));
        return context;
    }

    static string? ListenTls(ProxyHarness proxy, DownstreamTlsContext context, Action<Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager>? http = null) =>
        proxy.Listen(l =>
        {
            l.TrafficDirection = TrafficDirection.Inbound;
            var chain = ProxyHarness.Http(http ?? (_ => { }), To("c"));
            chain.TransportSocket = Downstream(context);
            l.FilterChains.Add(chain);
        });

    async Task<SslStream> HandshakeAsync(ProxyHarness proxy, Action<SslClientAuthenticationOptions>? configure = null)
    {
        var stream = new SslStream(await proxy.ConnectAsync());
        var options = new SslClientAuthenticationOptions { TargetHost = "a.example", RemoteCertificateValidationCallback = certificates.Accepts };
        configure?.Invoke(options);
        await stream.AuthenticateAsClientAsync(options);
        return stream;
    }

    static async Task<string> AskAsync(Stream stream, string request = Get)
    {
        await WriteAsync(stream, request);
        return await ReadAsync(stream, t => t.EndsWith("\r\n\r\nok", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(SslProtocols.Tls12, "TLSv1.2")]
    [InlineData(SslProtocols.Tls13, "TLSv1.3")]
    public async Task Serves_tls_of_both_versions_and_tells_upstreams_the_scheme(SslProtocols version, string name)
    {
        await using var proxy = new ProxyHarness();
        var seen = new TaskCompletionSource<string>();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            seen.TrySetResult(await ReadHeadAsync(s));
            await WriteAsync(s, Ok);
        })]));
        Assert.Null(ListenTls(proxy, Context(certificates.Issue("a.example")), h => h.UseRemoteAddress = true));

        await using var stream = await HandshakeAsync(proxy, o => o.EnabledSslProtocols = version);
        var answer = await AskAsync(stream);

        Assert.StartsWith("HTTP/1.1 200", answer);
        Assert.Equal(version, stream.SslProtocol);
        Assert.Contains("x-forwarded-proto: https", await seen.Task);
        Assert.NotEmpty(name);
    }

    [Fact]
    public async Task Refuses_versions_below_the_minimum()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        var context = Context(certificates.Issue("a.example"));
        context.CommonTlsContext.TlsParams = new TlsParameters { TlsMinimumProtocolVersion = TlsParameters.Types.TlsProtocol.Tlsv13 };
        Assert.Null(ListenTls(proxy, context));

        await Assert.ThrowsAnyAsync<Exception>(() => HandshakeAsync(proxy, o => o.EnabledSslProtocols = SslProtocols.Tls12));
        await using var stream = await HandshakeAsync(proxy);
        Assert.StartsWith("HTTP/1.1 200", await AskAsync(stream));
    }

    [Fact]
    public async Task Passes_large_bodies_both_ways_through_tls()
    {
        await using var proxy = new ProxyHarness();
        var body = new string('x', 3_000_000);
        var received = new TaskCompletionSource<int>();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            await ReadHeadAsync(s);
            var buffer = new byte[65536];
            var total = 0;
            while (total < body.Length)
            {
                total += await s.ReadAsync(buffer);
            }

            received.SetResult(total);
            await WriteAsync(s, $"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\n\r\n{body}");
        })]));
        ListenTls(proxy, Context(certificates.Issue("a.example")));

        await using var stream = await HandshakeAsync(proxy);
        var sending = WriteAsync(stream, $"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {body.Length}\r\n\r\n{body}");
        var answer = await ReadAsync(stream, t => t.Length > body.Length);
        await sending;

        Assert.Equal(body.Length, await received.Task);
        Assert.EndsWith("\r\n\r\n" + body, answer);
    }

    [Fact]
    public async Task Chooses_the_certificate_by_the_name_the_client_asks_for()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(ListenTls(proxy, Context(certificates.Issue("one.example"), certificates.Issue("*.two.example"), certificates.Issue("three.example"))));

        async Task<string> NameAsync(string host)
        {
            await using var stream = await HandshakeAsync(proxy, o => o.TargetHost = host);
            return ((X509Certificate2)stream.RemoteCertificate!).GetNameInfo(X509NameType.DnsName, false);
        }

        Assert.Equal(
            ["one.example", "*.two.example", "three.example", "one.example"],
            [await NameAsync("one.example"), await NameAsync("x.two.example"), await NameAsync("three.example"), await NameAsync("unknown.example")]);
    }

    [Fact]
    public async Task Negotiates_the_servers_first_common_protocol()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        var context = Context(certificates.Issue("a.example"));
        context.CommonTlsContext.AlpnProtocols.Add(["h2", "http/1.1", "other"]);
        ListenTls(proxy, context);

        await using var stream = await HandshakeAsync(proxy, o => o.ApplicationProtocols = [new("other"), SslApplicationProtocol.Http2, SslApplicationProtocol.Http11]);

        Assert.Equal(SslApplicationProtocol.Http2, stream.NegotiatedApplicationProtocol);
    }

    [Fact]
    public async Task A_peer_that_was_trusted_before_is_asked_again_when_trust_changes()
    {
        await using var proxy = new ProxyHarness();
        using var strangers = new TestCertificates();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        var context = Context(certificates.Issue(Server, "a.example"));
        context.RequireClientCertificate = true;
        var shown = certificates.Issue(Client);
        async Task<bool> IsAdmittedAsync(X509Certificate2 certificate)
        {
            try
            {
                await using var stream = await HandshakeAsync(proxy, o => o.ClientCertificates = [certificate]);
                return (await AskAsync(stream)).StartsWith("HTTP/1.1 200", StringComparison.Ordinal);
            }
            catch (Exception e) when (e is IOException or AuthenticationException)
            {
                return false;
            }
        }

        context.CommonTlsContext.ValidationContext = certificates.Trust(Client);
        Assert.Null(ListenTls(proxy, context));
        Assert.True(await IsAdmittedAsync(shown));
        Assert.True(await IsAdmittedAsync(shown));

        // Of the same name, from an authority of the same name.
        Assert.False(await IsAdmittedAsync(strangers.Issue(Client)));

        context.CommonTlsContext.ValidationContext = certificates.Trust("spiffe://test/ns/a/sa/other");
        Assert.Null(ListenTls(proxy, context));
        Assert.False(await IsAdmittedAsync(shown));

        context.CommonTlsContext.ValidationContext = strangers.Trust(Client);
        Assert.Null(ListenTls(proxy, context));
        Assert.False(await IsAdmittedAsync(shown));
    }

    [Fact]
    public async Task Mutual_tls_admits_those_it_should_and_counts_their_identity()
    {
        await using var proxy = new ProxyHarness();
        using var strangers = new TestCertificates("other");
        var seen = new TaskCompletionSource<string>();
        var head = "";
        proxy.Cluster("inbound|80||", [proxy.Upstream(async s =>
        {
            head = await ReadHeadAsync(s);
            seen.TrySetResult(head);
            await WriteAsync(s, Ok);
        })], _ => { });
        var context = Context(certificates.Issue(Server, "a.example"));
        context.RequireClientCertificate = true;
        context.CommonTlsContext.ValidationContext = certificates.Trust(Client);
        Assert.Null(proxy.Listen(l =>
        {
            var chain = ProxyHarness.Http(h => h.ForwardClientCertDetails = Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager.Types.ForwardClientCertDetails.SanitizeSet, To("inbound|80||"));
            chain.TransportSocket = Downstream(context);
            l.FilterChains.Add(chain);
        }));

        async Task<string> TryAsync(X509Certificate2? shown)
        {
            try
            {
                await using var stream = await HandshakeAsync(proxy, o => o.ClientCertificates = shown is null ? [] : [shown]);
                return await AskAsync(stream, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: Hash=forged\r\n\r\n");
            }
            catch (Exception e) when (e is IOException or AuthenticationException)
            {
                return "";
            }
        }

        Assert.StartsWith("HTTP/1.1 200", await TryAsync(certificates.Issue(Client)));
        Assert.DoesNotContain("200", await TryAsync(certificates.Issue("spiffe://test/ns/a/sa/other")));
        Assert.DoesNotContain("200", await TryAsync(strangers.Issue(Client)));
        Assert.DoesNotContain("200", await TryAsync(certificates.Issue(new DateTimeOffset(2021, 1, 1, 0, 0, 0, TimeSpan.Zero), Client)));
        Assert.DoesNotContain("200", await TryAsync(null));

        // What the client claims of its certificate is replaced by what it has shown.
        Assert.DoesNotContain("forged", await seen.Task);
        Assert.Contains("x-forwarded-client-cert: Hash=", head);
        SpinWait.SpinUntil(() => proxy.Stats.All.Any(s => s.Labels.SourcePrincipal == Client && s.All.Any()), TimeSpan.FromSeconds(5));
        var labels = proxy.Stats.All.Single(s => s.All.Any()).Labels;
        Assert.Equal((Client, Server, true), (labels.SourcePrincipal, labels.DestinationPrincipal, labels.IsMutualTls));
    }

    [Fact]
    public async Task Resumes_sessions_with_tickets()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        ListenTls(proxy, Context(certificates.Issue("a.example")));
        var context = new SslClientAuthenticationOptions { TargetHost = "a.example", RemoteCertificateValidationCallback = certificates.Accepts, AllowTlsResume = true };

        for (var i = 0; i < 3; i++)
        {
            await using var stream = new SslStream(await proxy.ConnectAsync());
            await stream.AuthenticateAsClientAsync(context);
            Assert.StartsWith("HTTP/1.1 200", await AskAsync(stream));
        }

        // The client's stack does not say whether it resumed, so OpenSSL's own client is asked.
        var first = await OpenSslAsync(proxy.Port);
        Assert.Contains("Reused, TLSv1.3", first);
    }

    /// <summary>Connects, keeps the session, and connects again with it.</summary>
    static async Task<string> OpenSslAsync(int port)
    {
        var file = Path.GetTempFileName();
        try
        {
            var output = "";
            foreach (var option in new[] { "-sess_out", "-sess_in" })
            {
                using var process = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo(
                    "openssl", ["s_client", "-connect", $"127.0.0.1:{port}", "-servername", "a.example", option, file, "-ign_eof"])
                {
                    RedirectStandardInput = true,
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                })!;
                await process.StandardInput.WriteAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                process.StandardInput.Close();
                output = await process.StandardOutput.ReadToEndAsync();
                await process.WaitForExitAsync();
            }

            return output;
        }
        finally
        {
            File.Delete(file);
        }
    }

    static TransportSocket ClientSide(X509Certificate2? shown, CertificateValidationContext? trust, string sni = "")
    {
        var context = new UpstreamTlsContext { Sni = sni, CommonTlsContext = new CommonTlsContext { ValidationContext = trust } };
        if (shown is not null)
        {
            context.CommonTlsContext.TlsCertificates.Add(TestCertificates.ToXds(shown));
        }

        return ProxyHarness.Upstream(context);
    }

    /// <summary>An upstream that speaks TLS and answers with the client's name.</summary>
    static int TlsUpstream(ProxyHarness proxy, X509Certificate2 shown, bool requiresClient = false, List<string>? names = null) => proxy.Upstream(async raw =>
    {
        await using var stream = new SslStream(raw);
        await stream.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
        {
            ServerCertificateSelectionCallback = (_, name) =>
            {
                names?.Add(name ?? "");
                return shown;
            },
            ClientCertificateRequired = requiresClient,
            RemoteCertificateValidationCallback = (_, certificate, _, _) => !requiresClient || certificate is not null,
        });
        while ((await ReadHeadAsync(stream)).Length > 0)
        {
            await WriteAsync(stream, $"HTTP/1.1 200 OK\r\nX-Client: {stream.RemoteCertificate?.Subject}\r\nContent-Length: 2\r\n\r\nok");
        }
    });

    [Fact]
    public async Task Speaks_mutual_tls_to_upstreams_and_checks_who_they_are()
    {
        await using var proxy = new ProxyHarness();
        var names = new List<string>();
        var port = TlsUpstream(proxy, certificates.Issue(Server, "b.example"), requiresClient: true, names);
        proxy.Routes(To("c"));

        Assert.Null(proxy.Cluster("c", [port], c => c.TransportSocket = ClientSide(certificates.Issue(Client), certificates.Trust(Server), "b.example")));
        Assert.Contains("X-Client: CN=spiffe_", await proxy.ExchangeAsync(Get, t => t.EndsWith("ok", StringComparison.Ordinal)));
        Assert.Equal("b.example", names[0]);

        // Another identity than the one asked for, and one that nobody trusted signed.
        proxy.Cluster("c", [port], c => c.TransportSocket = ClientSide(certificates.Issue(Client), certificates.Trust("spiffe://test/other"), "b.example"));
        var wrongName = await proxy.ExchangeAsync(Get, t => t.Contains("TLS_error", StringComparison.Ordinal));
        using var strangers = new TestCertificates("other");
        proxy.Cluster("c", [port], c => c.TransportSocket = ClientSide(certificates.Issue(Client), strangers.Trust(), "b.example"));
        var untrusted = await proxy.ExchangeAsync(Get, t => t.Contains("TLS_error", StringComparison.Ordinal));

        Assert.StartsWith("HTTP/1.1 503", wrongName);
        Assert.StartsWith("HTTP/1.1 503", untrusted);
        Assert.Equal(2, proxy.Count(503, ResponseFlag.UF, expected: 2));
    }

    [Fact]
    public async Task Keeps_connections_to_tls_upstreams_for_the_next_request()
    {
        await using var proxy = new ProxyHarness();
        var names = new List<string>();
        var port = TlsUpstream(proxy, certificates.Issue(Server), requiresClient: true, names);
        proxy.Routes(To("c"));
        proxy.Cluster("c", [port], c => c.TransportSocket = ClientSide(certificates.Issue(Client), certificates.Trust(Server), "b.example"));

        for (var i = 0; i < 5; i++)
        {
            Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, t => t.EndsWith("ok", StringComparison.Ordinal)));
        }

        Assert.Single(names);
    }

    [Fact]
    public async Task Secrets_come_by_name_and_are_replaced_without_dropping_a_connection()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        var context = new DownstreamTlsContext { CommonTlsContext = new CommonTlsContext() };
        context.CommonTlsContext.TlsCertificateSdsSecretConfigs.Add(new SdsSecretConfig { Name = "server", SdsConfig = new ConfigSource { Ads = new AggregatedConfigSource() } });
        Assert.Null(ListenTls(proxy, context));
        Assert.Equal(["server"], proxy.Store.References(XdsTypes.Secret));
        Assert.False(proxy.Store.IsReady);

        Assert.Null(proxy.Apply(XdsTypes.Secret, ("server", new Secret { Name = "server", TlsCertificate = TestCertificates.ToXds(certificates.Issue("first.example")) })));
        Assert.True(proxy.Store.IsReady);
        await using var before = await HandshakeAsync(proxy);
        Assert.StartsWith("HTTP/1.1 200", await AskAsync(before));

        Assert.Null(proxy.Apply(XdsTypes.Secret, ("server", new Secret { Name = "server", TlsCertificate = TestCertificates.ToXds(certificates.Issue("second.example")) })));
        await using var after = await HandshakeAsync(proxy);

        Assert.Equal("second.example", ((X509Certificate2)after.RemoteCertificate!).GetNameInfo(X509NameType.DnsName, false));
        var still = await AskAsync(before);
        Assert.StartsWith("HTTP/1.1 200", still);
        Assert.DoesNotContain("connection: close", still);

        // A bad one is refused, and the one before stays.
        var bad = TestCertificates.ToXds(certificates.Issue("third.example"));
        bad.PrivateKey = TestCertificates.ToXds(certificates.Issue("fourth.example")).PrivateKey;
        Assert.Contains("key values mismatch", proxy.Apply(XdsTypes.Secret, ("server", new Secret { Name = "server", TlsCertificate = bad })));
        await using var later = await HandshakeAsync(proxy);
        Assert.Equal("second.example", ((X509Certificate2)later.RemoteCertificate!).GetNameInfo(X509NameType.DnsName, false));
    }

    [Fact]
    public async Task Passes_tls_through_by_server_name_without_ending_it()
    {
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Clusters(
            ("one", [TlsUpstream(proxy, certificates.Issue("one.example"))]), ("wild", [TlsUpstream(proxy, certificates.Issue("wild.example"))]),
            ("other", [TlsUpstream(proxy, certificates.Issue("other.example"))])));
        FilterChain Named(string cluster, params string[] names)
        {
            var chain = Tcp(cluster);
            chain.FilterChainMatch = new FilterChainMatch();
            chain.FilterChainMatch.ServerNames.Add(names);
            return chain;
        }

        Assert.Null(proxy.Listen(l =>
        {
            l.FilterChains.Add([Named("one", "one.example"), Named("wild", "*.wild.example")]);
            l.DefaultFilterChain = Tcp("other");
        }));

        async Task<string> NameAsync(string host)
        {
            await using var stream = await HandshakeAsync(proxy, o => o.TargetHost = host);
            Assert.StartsWith("HTTP/1.1 200", await AskAsync(stream));
            return ((X509Certificate2)stream.RemoteCertificate!).GetNameInfo(X509NameType.DnsName, false);
        }

        Assert.Equal(
            ["one.example", "wild.example", "wild.example", "other.example"],
            [await NameAsync("one.example"), await NameAsync("a.wild.example"), await NameAsync("a.b.wild.example"), await NameAsync("else.example")]);
    }

    [Theory]
    [InlineData("not a certificate", "certificate_chain: no certificate in it")]
    [InlineData("", "certificate_chain: no certificate in it")]
    public async Task Unusable_material_is_refused_with_the_reason(string chain, string reason)
    {
        await using var proxy = new ProxyHarness();
        var context = Context(certificates.Issue("a.example"));
        context.CommonTlsContext.TlsCertificates[0].CertificateChain = new DataSource { InlineString = chain };

        Assert.Contains(reason, ListenTls(proxy, context));
    }

    [Fact]
    public async Task A_flood_of_unfinished_handshakes_does_not_keep_others_out()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        ListenTls(proxy, Context(certificates.Issue("a.example")));

        // Hellos that are begun and never ended, more than may be pending.
        var flood = new List<NetworkStream>();
        for (var i = 0; i < 700; i++)
        {
            var stream = await proxy.ConnectAsync();
            flood.Add(stream);
            await stream.WriteAsync(new byte[] { 22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3 });
        }

        await using var honest = await HandshakeAsync(proxy);
        Assert.StartsWith("HTTP/1.1 200", await AskAsync(honest));
        Assert.True(proxy.Engine.Workers.ActiveConnections <= 8192, $"{proxy.Engine.Workers.ActiveConnections} connections");
        flood.ForEach(s => s.Dispose());
    }
}
