using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Weir.Xds.Transport;

/// <summary>TLS to the control plane. What it needs is read from its files for each connection, so that a renewed certificate is used.</summary>
sealed class TlsTransport(TlsSettings settings, string host)
{
    const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    readonly string serverName = settings.ServerName.Length > 0 ? settings.ServerName : host.Trim('[', ']');
    string? refusal;

    /// <exception cref="IOException">The handshake failed; the message says why.</exception>
    public static async Task<Stream> OpenAsync(TlsSettings settings, string host, Stream inner, CancellationToken cancel) =>
        await new TlsTransport(settings, host).OpenAsync(inner, cancel).ConfigureAwait(false);

    async Task<Stream> OpenAsync(Stream inner, CancellationToken cancel)
    {
        var authorities = settings.ReadAuthorities();
        var options = new SslClientAuthenticationOptions
        {
            // An address is no server name (RFC 6066 section 3).
            TargetHost = IPAddress.TryParse(serverName, out _) ? "" : serverName,
            ApplicationProtocols = [SslApplicationProtocol.Http2],
            EnabledSslProtocols = settings.Protocols,
            ClientCertificateContext = settings.ReadCertificate(),
            RemoteCertificateValidationCallback = (_, certificate, chain, _) => IsTrusted(certificate, chain, authorities),
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        };
        var stream = new SslStream(inner, leaveInnerStreamOpen: false);
        try
        {
            await stream.AuthenticateAsClientAsync(options, cancel).ConfigureAwait(false);
            return stream;
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw new IOException(refusal ?? "the TLS handshake with the control plane failed: is it TLS that it speaks, and does it ask for a certificate that it was not shown?", e);
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    bool IsTrusted(X509Certificate? shown, X509Chain? intermediates, X509Certificate2Collection? authorities)
    {
        if (shown is not X509Certificate2 certificate)
        {
            refusal = "the control plane showed no certificate";
            return false;
        }

        using var chain = new X509Chain();
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
        chain.ChainPolicy.ExtraStore.AddRange(intermediates?.ChainPolicy.ExtraStore ?? []);
        if (authorities is not null)
        {
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        }

        if (!chain.Build(certificate))
        {
            refusal = $"the control plane's certificate is not trusted ({string.Join(", ", chain.ChainStatus.Select(s => s.Status).Distinct())}); "
                + $"trusted are the authorities of {settings.TrustedAuthorities?.ToString() ?? "the system"}";
            return false;
        }

        IReadOnlyList<SubjectNameMatcher> wanted = settings.SubjectNames.Count > 0 ? settings.SubjectNames : [SubjectNameMatcher.Host(serverName)];
        var names = SubjectName.Of(certificate);
        if (wanted.Any(w => names.Any(w.Matches)))
        {
            return true;
        }

        refusal = $"the control plane's certificate is for {(names.Count > 0 ? string.Join(", ", names) : "nobody")}, not for {string.Join(" or ", wanted)}";
        return false;
    }
}
