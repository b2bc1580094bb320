using Weir.Proxy.Filters;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tracing;

namespace Weir.Proxy.Listeners;

/// <summary>Pages that the proxy serves itself.</summary>
enum Pages
{
    None,

    /// <summary>Readiness and metrics, for probes and scrapers.</summary>
    Status,

    /// <summary>Everything, also what changes the proxy's state.</summary>
    Admin,
}

/// <summary>What becomes of a client's certificate in <c>x-forwarded-client-cert</c>; names are Envoy's.</summary>
enum ClientCertificateForwarding
{
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

/// <summary>How HTTP is served on a filter chain. Times are milliseconds; 0 is none.</summary>
sealed record HttpOptions
{
    public const int DefaultHeadBytes = 60 * 1024;
    public const int DefaultStreamIdle = 300_000;

    public Routing.RouteSlot Routes { get; init; } = new("");

    /// <summary>The proxy's own pages instead of routes.</summary>
    public Pages Pages { get; init; }

    /// <summary>
    /// Clients are strangers: their address and scheme replace what they claim in X-Forwarded-For and -Proto.
    /// </summary>
    public bool IsEdge { get; init; }

    /// <summary>Proxies in front that are believed, so that what they add to X-Forwarded-For is kept.</summary>
    public int TrustedHops { get; init; }
    public bool AppendsForwardedFor { get; init; }
    public ClientCertificateForwarding ClientCertificate { get; init; }
    public bool ForwardsSubject { get; init; }
    public bool ForwardsUri { get; init; }
    public bool ForwardsDns { get; init; }
    public bool GeneratesRequestId { get; init; } = true;
    public byte[] Via { get; init; } = [];
    public AccessLog[] AccessLogs { get; init; } = [];
    public TracingOptions? Tracing { get; init; }
    public PathRules Path { get; init; } = PathRules.None;

    /// <summary>Protocols that a connection may be upgraded to, in lower case; <c>connect</c> for CONNECT.</summary>
    public IReadOnlySet<string> Upgrades { get; init; } = new HashSet<string>();
    public int StreamIdleMilliseconds { get; init; } = DefaultStreamIdle;
    public int ConnectionIdleMilliseconds { get; init; } = 3600_000;
    public int MaximumConnectionMilliseconds { get; init; }
    public int MaximumRequestsPerConnection { get; init; }

    /// <summary>For the whole request, with its body.</summary>
    public int RequestMilliseconds { get; init; }
    public int HeadMilliseconds { get; init; } = 60_000;

    /// <summary>After the last answer, for the client to read it.</summary>
    public int DelayedCloseMilliseconds { get; init; } = 1000;
    public int MaximumHeadBytes { get; init; } = DefaultHeadBytes;
    public int MaximumHeaders { get; init; } = Http1.HeaderList.Maximum;
}

/// <summary>How bytes are passed on by a filter chain. Times are milliseconds; 0 is none.</summary>
sealed record TcpOptions
{
    public required Routing.WeightedTarget[] Targets { get; init; }
    public Routing.WeightedSchedule? Schedule { get; init; }
    public AccessLog[] AccessLogs { get; init; } = [];
    public int IdleMilliseconds { get; init; } = 3600_000;

    /// <summary>Of the whole session.</summary>
    public int MaximumMilliseconds { get; init; }
    public int ConnectAttempts { get; init; } = 1;

    public Routing.WeightedTarget Pick() => Schedule is null ? Targets[0] : Targets[Schedule.Next()];
}
