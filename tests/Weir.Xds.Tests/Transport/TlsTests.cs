using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Weir.Proxy.Tests;
using Weir.Xds.Tests.Client;
using Weir.Xds.Transport;

namespace Weir.Xds.Tests.Transport;

public sealed class TlsTests : IDisposable
{
    const string Uri = "spiffe://mesh/control-plane";

    readonly TestSource source = new();
    readonly TestCertificates authority = new();
    readonly TestCertificates stranger = new("stranger");
    readonly string directory = Directory.CreateTempSubdirectory("weir-xds-tls").FullName;

    public TlsTests() => source.Set(TestSource.Cluster("a", isEds: false));

    public void Dispose()
    {
        authority.Dispose();
        stranger.Dispose();
        Directory.Delete(directory, recursive: true);
    }

    TlsSettings Trusting(TestCertificates who, params SubjectNameMatcher[] names) =>
        new() { TrustedAuthorities = PemSource.Inline(who.AuthorityPem), ServerName = "xds.test", SubjectNames = names };

    static XdsServer By(TestServer server, TlsSettings tls) => server.InTheClear with { Tls = tls };

    static SubjectNameMatcher Name(SubjectNameKind? kind, string value, SubjectNameMatch match = SubjectNameMatch.Exact) => new(kind, match, value, false);

    [Fact]
    public async Task The_server_is_who_it_should_be()
    {
        using var certificate = authority.Issue("xds.test", Uri, "127.0.0.1", "*.wild.test");
        await using var server = await TestServer.StartAsync(source, certificate: () => certificate);
        foreach (var tls in new[]
        {
            Trusting(authority),
            Trusting(authority) with { ServerName = "XDS.test" },
            Trusting(authority) with { ServerName = "" },
            Trusting(authority) with { ServerName = "a.wild.test" },
            Trusting(authority, Name(SubjectNameKind.Uri, Uri)),
            Trusting(authority, Name(SubjectNameKind.Dns, "nobody"), Name(SubjectNameKind.Uri, "spiffe://mesh/", SubjectNameMatch.Prefix)),
            Trusting(authority, Name(null, "control-plane", SubjectNameMatch.Suffix)),
            Trusting(authority, Name(SubjectNameKind.IpAddress, "127.0.0.1")),
        })
        {
            await using var run = new ClientRun(By(server, tls));
            await run.Sink.HasAsync(XdsTypes.Cluster, "a");
            Assert.Empty(run.Log.Lines);
        }
    }

    [Fact]
    public async Task Anybody_else_is_refused_with_the_reason()
    {
        using var certificate = authority.Issue("xds.test", Uri, "*.wild.test");
        await using var server = await TestServer.StartAsync(source, certificate: () => certificate);
        foreach (var (tls, reason) in new[]
        {
            (Trusting(stranger), "the control plane's certificate is not trusted"),
            (Trusting(authority) with { ServerName = "other.test" }, $"certificate is for xds.test, {Uri}, *.wild.test, not for \"other.test\""),
            (Trusting(authority) with { ServerName = "" }, "not for \"127.0.0.1\""),
            (Trusting(authority) with { ServerName = "a.b.wild.test" }, "not for \"a.b.wild.test\""),
            (Trusting(authority, Name(SubjectNameKind.Uri, "spiffe://other")), "not for \"spiffe://other\""),
            (Trusting(authority, Name(SubjectNameKind.Uri, "xds.test")), "not for \"xds.test\""),
            (new TlsSettings { ServerName = "xds.test" }, "the authorities of the system"),
        })
        {
            await using var run = new ClientRun(By(server, tls));
            await run.Log.HasAsync(reason);
            Assert.Empty(source.Nodes);
        }
    }

    [Fact]
    public async Task An_expired_certificate_is_refused()
    {
        using var certificate = authority.Issue(new DateTimeOffset(2021, 1, 1, 0, 0, 0, TimeSpan.Zero), "xds.test");
        await using var server = await TestServer.StartAsync(source, certificate: () => certificate);
        await using var run = new ClientRun(By(server, Trusting(authority)));
        await run.Log.HasAsync("is not trusted (NotTimeValid)");
    }

    [Fact]
    public async Task The_client_shows_its_certificate_and_a_renewed_one_after_a_break()
    {
        using var certificate = authority.Issue("xds.test");
        using var authorityCertificate = X509Certificate2.CreateFromPem(authority.AuthorityPem);
        var tls = Trusting(authority) with { Certificate = PemSource.File(Path.Combine(directory, "c")), PrivateKey = PemSource.File(Path.Combine(directory, "k")) };
        Write(stranger);
        await using var server = await TestServer.StartAsync(source, certificate: () => certificate, clients: authorityCertificate);
        await using var run = new ClientRun(By(server, tls));
        await run.Log.HasAsync("control plane: ");
        Assert.Empty(source.Nodes);

        Write(authority);
        await run.Sink.HasAsync(XdsTypes.Cluster, "a");
    }

    void Write(TestCertificates issuer)
    {
        using var certificate = issuer.Issue("proxy");
        File.WriteAllText(Path.Combine(directory, "c"), certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(directory, "k"), certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
    }

    [Fact]
    public async Task Nothing_is_said_in_the_clear()
    {
        const byte handshake = 0x16;
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var server = new XdsServer([XdsAddress.Tcp("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port)], Trusting(authority), "xds.test");
        await using var run = new ClientRun(server);
        using (var client = await listener.AcceptTcpClientAsync())
        {
            var first = new byte[1];
            await client.GetStream().ReadExactlyAsync(first);
            Assert.Equal(handshake, first[0]);
            await client.GetStream().WriteAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());
        }

        await run.Log.HasAsync("the TLS handshake with the control plane failed");
    }
}
