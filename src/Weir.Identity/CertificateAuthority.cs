using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Weir.Identity;

/// <summary>A certificate authority with ECDSA P-256 keys, kept as two PEM files in one directory.</summary>
public sealed class CertificateAuthority : IDisposable
{
    static readonly TimeSpan RootLifetime = TimeSpan.FromDays(3650);

    /// <summary>Certificates are valid a little before now, for peers whose clocks run behind.</summary>
    static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(5);

    readonly TimeProvider time;

    CertificateAuthority(X509Certificate2 root, TimeProvider time)
    {
        Root = root;
        this.time = time;
    }

    public X509Certificate2 Root { get; }

    /// <summary>Opens the authority of a directory, or founds it there with files that only their owner can read.</summary>
    public static CertificateAuthority OpenOrCreate(string directory, string name, TimeProvider time)
    {
        Directory.CreateDirectory(directory);
        var certificatePath = Path.Combine(directory, "ca.crt");
        var keyPath = Path.Combine(directory, "ca.key");
        if (!File.Exists(certificatePath) || !File.Exists(keyPath))
        {
            using var root = Found(name, time);
            PrivateFile.Write(keyPath, root.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
            PrivateFile.Write(certificatePath, root.ExportCertificatePem());
        }

        return new CertificateAuthority(X509Certificate2.CreateFromPemFile(certificatePath, keyPath), time);
    }

    public X509Certificate2 IssueServer(string commonName, IEnumerable<string> names, IEnumerable<IPAddress> addresses, TimeSpan lifetime)
    {
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in names)
        {
            alternatives.AddDnsName(name);
        }

        foreach (var address in addresses)
        {
            alternatives.AddIpAddress(address);
        }

        return Issue($"CN={commonName}", "1.3.6.1.5.5.7.3.1", lifetime, alternatives);
    }

    /// <param name="group">The organization, which Kubernetes reads as the group (<c>system:masters</c>).</param>
    public X509Certificate2 IssueClient(string commonName, string group, TimeSpan lifetime) =>
        Issue($"O={group}, CN={commonName}", "1.3.6.1.5.5.7.3.2", lifetime, null);

    X509Certificate2 Issue(string subject, string usage, TimeSpan lifetime, SubjectAlternativeNameBuilder? alternatives)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Root, true, false));
        if (alternatives is not null)
        {
            request.CertificateExtensions.Add(alternatives.Build());
        }

        var now = time.GetUtcNow();
        using var certificate = request.Create(Root, now - ClockSkew, now + lifetime, RandomNumberGenerator.GetBytes(16));
        return certificate.CopyWithPrivateKey(key);
    }

    static X509Certificate2 Found(string name, TimeProvider time)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        var now = time.GetUtcNow();
        return request.CreateSelfSigned(now - ClockSkew, now + RootLifetime);
    }

    public void Dispose() => Root.Dispose();
}
