namespace Weir.Xds.Transport;

/// <summary>One address that the control plane can be reached at.</summary>
/// <param name="UnixPath">A socket's path; null for TCP.</param>
public sealed record XdsAddress(string? UnixPath, string Host, int Port)
{
    public static XdsAddress Unix(string path) => new(path, "", 0);

    public static XdsAddress Tcp(string host, int port) => new(null, host, port);

    public override string ToString() => UnixPath is null ? $"{(Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port}" : $"unix:{UnixPath}";
}

/// <summary>The control plane: where it is and how it is spoken to.</summary>
/// <param name="Addresses">Tried in turn: a failure moves to the next.</param>
/// <param name="Tls">Null for connections in the clear.</param>
/// <param name="Authority">The request's <c>:authority</c>.</param>
public sealed record XdsServer(IReadOnlyList<XdsAddress> Addresses, TlsSettings? Tls, string Authority)
{
    /// <summary>How long a connection may take, its handshake included.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Headers that go with the request, names in lower case.</summary>
    public IReadOnlyList<(string Name, string Value)> Metadata { get; init; } = [];

    public override string ToString() => string.Join(", ", Addresses) + (Tls is null ? "" : " by TLS");
}
