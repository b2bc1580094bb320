using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf;

namespace Weir.Proxy.Tests;

/// <summary>A certificate authority for a test, and what it issues.</summary>
sealed class TestCertificates : IDisposable
{
    static readonly DateTimeOffset From = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);
    static readonly DateTimeOffset To = new(2049, 1, 1, 0, 0, 0, TimeSpan.Zero);

    readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    readonly X509Certificate2 authority;
    byte serial;

    public TestCertificates(string name = "test")
    {
        var request = new CertificateRequest($"CN={name} authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        authority = request.CreateSelfSigned(From, To);
    }

    public string AuthorityPem => authority.ExportCertificatePem();

    /// <summary>A certificate for these names: those with a colon are URIs.</summary>
    public X509Certificate2 Issue(params string[] names) => Issue(To, names);

    public X509Certificate2 Issue(DateTimeOffset until, params string[] names)
    {
        using var own = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={names[0].Replace(":", "_", StringComparison.Ordinal)}", own, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in names)
        {
            if (name.Contains(':', StringComparison.Ordinal))
            {
                alternatives.AddUri(new Uri(name));
            }
            else if (IPAddress.TryParse(name, out var address))
            {
                alternatives.AddIpAddress(address);
            }
            else
            {
                alternatives.AddDnsName(name);
            }
        }

        request.CertificateExtensions.Add(alternatives.Build());
        using var issued = request.Create(authority, From.AddDays(1), until, [1, 2, 3, ++serial]);
        using var whole = issued.CopyWithPrivateKey(own);

        // The platform's TLS wants a key that it can use more than once.
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }

    public static TlsCertificate ToXds(X509Certificate2 certificate) => new()
    {
        CertificateChain = Inline(certificate.ExportCertificatePem()),
        PrivateKey = Inline(certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()),
    };

    public CertificateValidationContext Trust(params string[] uris)
    {
        var context = new CertificateValidationContext { TrustedCa = Inline(AuthorityPem) };
        context.MatchTypedSubjectAltNames.Add(uris.Select(u => new SubjectAltNameMatcher
        {
            SanType = SubjectAltNameMatcher.Types.SanType.Uri,
            Matcher = new Envoy.Type.Matcher.V3.StringMatcher { Exact = u },
        }));
        return context;
    }

    /// <summary>What a client of this authority's servers makes of a certificate; the name is not asked.</summary>
    public bool Accepts(object sender, X509Certificate? certificate, X509Chain? chain, System.Net.Security.SslPolicyErrors errors)
    {
        using var own = new X509Chain();
        own.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        own.ChainPolicy.CustomTrustStore.Add(authority);
        own.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return certificate is X509Certificate2 shown && own.Build(shown);
    }

    /// <summary>A list of revoked certificates with nobody on it.</summary>
    public string RevocationsPem() => new string(PemEncoding.Write(
        "X509 CRL", new CertificateRevocationListBuilder().Build(authority, 1, To, HashAlgorithmName.SHA256, thisUpdate: From)));

    static DataSource Inline(string text) => new() { InlineBytes = ByteString.CopyFrom(Encoding.ASCII.GetBytes(text)) };

    public void Dispose()
    {
        authority.Dispose();
        key.Dispose();
    }
}
