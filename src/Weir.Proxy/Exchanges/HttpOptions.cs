using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tracing;

namespace Weir.Proxy.Exchanges;

/// <summary>What becomes of a client's certificate in <c>x-forwarded-client-cert</c>; names are Envoy's.</summary>
enum ClientCertificateForwarding
{
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

/// <summary>Which version of HTTP clients are taken to speak; names are Envoy's.</summary>
enum HttpCodec
{
    /// <summary>By ALPN, else by what comes first.</summary>
    Auto,
    Http1,
    Http2,
}

/// <summary>How HTTP is served on a filter chain. Times are milliseconds; 0 is none.</summary>
sealed record HttpOptions : ServerLimits
{
    public Routing.RouteSlot Routes { get; init; } = new("");

    public HttpCodec Codec { get; init; }
    public Http2.Http2Options Http2 { get; init; } = Proxy.Http2.Http2Options.Default;

    /// <summary>What requests pass before they are routed.</summary>
    public FilterPlan Filters { get; init; } = FilterPlan.None;

    /// <summary>
    /// Clients are strangers: their address and scheme replace what they claim in X-Forwarded-For and -Proto.
    /// </summary>
    public bool IsEdge { get; init; }

    /// <summary>For this proxy's own workload, not from it.</summary>
    public bool IsInbound { get; init; }

    /// <summary>The client's address is added to X-Forwarded-For; else that is passed on as it comes.</summary>
    public bool AppendsForwardedFor { get; init; }
    public ClientCertificateForwarding ClientCertificate { get; init; }
    public bool ForwardsSubject { get; init; }
    public bool ForwardsUri { get; init; }
    public bool ForwardsDns { get; init; }
    public bool GeneratesRequestId { get; init; } = true;
    public byte[] Via { get; init; } = [];
    public AccessLog[] AccessLogs { get; init; } = [];
    public TracingOptions? Tracing { get; init; }

    /// <summary>Protocols that a connection may be upgraded to, in lower case; <c>connect</c> for CONNECT.</summary>
    public IReadOnlySet<string> Upgrades { get; init; } = new HashSet<string>();

    /// <summary>For the whole request, with its body.</summary>
    public int RequestMilliseconds { get; init; }

    /// <summary>The proxy's own pages: neither counted nor logged.</summary>
    public bool IsOwn { get; init; }
}
