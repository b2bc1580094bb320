namespace Weir.Proxy.Tls;

/// <summary>The parameters of one side of TLS.</summary>
/// <param name="MinimumVersion">As on the wire: 0x0303 for TLS 1.2, 0x0304 for TLS 1.3.</param>
/// <param name="CipherSuites">OpenSSL's names; empty for the library's choice.</param>
/// <param name="TicketKey">80 bytes that resumption tickets are protected with; empty for random ones of the context.</param>
sealed record TlsSettings(
    int MinimumVersion, int MaximumVersion, IReadOnlyList<string> CipherSuites, IReadOnlyList<string> Curves, IReadOnlyList<string> Alpn,
    bool RequiresPeerCertificate, bool AllowsResumption, byte[] TicketKey)
{
    /// <summary>How long a session may be resumed; 0 for the library's choice.</summary>
    public long SessionSeconds { get; init; }
}
