using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Weir.Xds.Transport;

/// <summary>How a connection to the control plane is secured, and who the server must be.</summary>
public sealed record TlsSettings
{
    /// <summary>Who must have issued the server's certificate; null for whoever the system trusts.</summary>
    public PemSource? TrustedAuthorities { get; init; }

    /// <summary>The certificate, with those above it, that the client shows; null for none.</summary>
    public PemSource? Certificate { get; init; }

    public PemSource? PrivateKey { get; init; }

    /// <summary>The name in the ClientHello; empty for the address's host.</summary>
    public string ServerName { get; init; } = "";

    /// <summary>One of them must match the server's certificate; empty: it must be for the server name.</summary>
    public IReadOnlyList<SubjectNameMatcher> SubjectNames { get; init; } = [];

    public SslProtocols Protocols { get; init; } = SslProtocols.Tls12 | SslProtocols.Tls13;

    /// <exception cref="IOException">What the files hold cannot be used; the message says which.</exception>
    public void Check()
    {
        ReadAuthorities();
        ReadCertificate();
    }

    internal X509Certificate2Collection? ReadAuthorities()
    {
        if (TrustedAuthorities is not { } source)
        {
            return null;
        }

        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPem(source.Read());
        }
        catch (CryptographicException)
        {
            authorities.Clear();
        }

        return authorities.Count > 0 ? authorities : throw new IOException($"{source} has no certificate in PEM to trust");
    }

    internal SslStreamCertificateContext? ReadCertificate()
    {
        if (Certificate is not { } source || PrivateKey is not { } key)
        {
            return null;
        }

        try
        {
            var pem = source.Read();
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(pem);
            return SslStreamCertificateContext.Create(X509Certificate2.CreateFromPem(pem, key.Read()), chain, offline: true);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new IOException($"{source} and {key} are not a certificate in PEM and its key");
        }
    }
}
