namespace Weir.Proxy.Tls;

/// <summary>The contexts of one filter chain: one for each certificate, chosen by the name the client asks for.</summary>
sealed class TlsServer
{
    readonly TlsContext[] contexts;
    readonly Dictionary<string, TlsContext> byName = [];

    /// <param name="requiresName">Clients that name no server are refused.</param>
    public TlsServer(IReadOnlyList<TlsContext> contexts, bool requiresName)
    {
        this.contexts = [.. contexts];
        RequiresName = requiresName;
        foreach (var context in contexts)
        {
            foreach (var name in context.ServerNames)
            {
                byName.TryAdd(name, context);
            }
        }
    }

    public IReadOnlyList<TlsContext> Contexts => contexts;

    public bool RequiresName { get; }

    /// <summary>Whether the choice depends on the client: then its hello is read before the handshake begins.</summary>
    public bool NeedsName => contexts.Length > 1 || RequiresName;

    /// <summary>The certificate for this name, exactly or by wildcard, else the first; null when a name is required and missing.</summary>
    public TlsContext? Select(string serverName)
    {
        if (serverName.Length == 0)
        {
            return RequiresName ? null : contexts[0];
        }

        var dot = serverName.IndexOf('.');
        return byName.TryGetValue(serverName, out var exact) ? exact
            : dot > 0 && byName.TryGetValue("*" + serverName[dot..], out var wildcard) ? wildcard
            : contexts[0];
    }
}

/// <summary>How connections to a cluster's endpoints are secured.</summary>
/// <param name="ServerName">Sent as SNI; empty for none.</param>
/// <param name="Validation">
/// What the server's certificate must say, besides being signed by someone trusted: looked at after the handshake, so that clusters
/// that differ in it alone share a context.
/// </param>
sealed record TlsClient(TlsContext Context, string ServerName, bool ResumesSessions, Validation? Validation)
{
    /// <summary>By what decides about a connection, not by which lists it is held in.</summary>
    public bool Equals(TlsClient? other) => other is not null && ReferenceEquals(Context, other.Context) && ServerName == other.ServerName
        && ResumesSessions == other.ResumesSessions && Validation.Describe() == other.Validation.Describe();

    public override int GetHashCode() => HashCode.Combine(Context, ServerName);
}
