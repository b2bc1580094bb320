using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Bench;

/// <summary>An authority and one identity that everybody in a measurement shares: ECDSA P-256, as meshes use.</summary>
sealed class Certificates
{
    public string Authority { get; }
    public string Chain { get; }
    public string Key { get; }

    readonly ECDsa authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    readonly X509Certificate2 authority;
    readonly string directory;
    byte serial;

    public Certificates(string directory)
    {
        this.directory = directory;
        var request = new CertificateRequest("CN=bench authority", authorityKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        authority = request.CreateSelfSigned(From, To);
        Authority = Path.Combine(directory, "ca.pem");
        Chain = Path.Combine(directory, "cert.pem");
        Key = Path.Combine(directory, "key.pem");
        File.WriteAllText(Authority, authority.ExportCertificatePem());
        Renew();
    }

    static readonly DateTimeOffset From = new(2024, 1, 1, 0, 0, 0, TimeSpan.Zero);
    static readonly DateTimeOffset To = new(2044, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>A new key and certificate for the same identity.</summary>
    public void Renew()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var own = new CertificateRequest("CN=bench", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("bench");
        names.AddUri(new Uri("spiffe://bench/ns/default/sa/bench"));
        own.CertificateExtensions.Add(names.Build());
        using var certificate = own.Create(authority, From, To, [1, 2, 3, ++serial]);
        File.WriteAllText(Chain, certificate.ExportCertificatePem() + "\n");
        File.WriteAllText(Key, key.ExportPkcs8PrivateKeyPem() + "\n");

        // HAProxy wants both in one file.
        File.WriteAllText(Path.Combine(directory, "both.pem"), certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    KeyPair Pair => new(File.ReadAllBytes(Chain), File.ReadAllBytes(Key));

    Validation Trust => new(File.ReadAllBytes(Authority), [], [], [], [], false, false);

    static TlsSettings Settings(bool requires) => new(0x0304, 0x0304, [], [], [], requires, false, []);

    public TlsContext Client() => TlsContext.Client(Settings(false), Pair, Trust);

    public TlsContext Server() => TlsContext.Server(Settings(true), Pair, Trust);
}
