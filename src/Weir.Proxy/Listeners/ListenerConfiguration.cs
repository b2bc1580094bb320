using Weir.Proxy.Reactor;

namespace Weir.Proxy.Listeners;

/// <summary>Where connections are taken, and what is found out about them before a filter chain serves them. Times are milliseconds.</summary>
sealed record ListenerConfiguration(string Name, IReadOnlyList<SocketAddressV4> Addresses, FilterChainTable Chains)
{
    /// <summary>The proxy's own pages: served also when there are too many connections for anything else.</summary>
    public bool IsStatus { get; init; }

    /// <summary>Each connection begins with a PROXY protocol header.</summary>
    public bool InspectsProxyProtocol { get; init; }
    public bool AllowsMissingProxyProtocol { get; init; }

    /// <summary>A look is taken for TLS and HTTP; null for none. The predicate says on which ports not, because there the server speaks first.</summary>
    public Func<int, bool>? TlsInspectionOff { get; init; }
    public Func<int, bool>? HttpInspectionOff { get; init; }
    public int InspectionMilliseconds { get; init; } = 15_000;

    /// <summary>A client that says nothing is served as one whose protocol is unknown, instead of being let go.</summary>
    public bool ContinuesOnTimeout { get; init; }

    public bool InspectsTls(int port) => TlsInspectionOff is not null && !TlsInspectionOff(port);

    public bool InspectsHttp(int port) => HttpInspectionOff is not null && !HttpInspectionOff(port);

    public bool NeedsInspection(int port) => InspectsTls(port) || InspectsHttp(port);
}
