using System.Collections.Frozen;
using System.Text;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Configuration;

/// <summary>Everything requests are decided by. Immutable; the loops read it through one volatile reference.</summary>
public sealed record ProxyConfiguration(
    FrozenDictionary<string, Cluster> Clusters, FrozenDictionary<string, RouteTable> Routes, FrozenDictionary<string, ListenerConfiguration> Listeners)
{
    public static readonly ProxyConfiguration Empty = new(
        FrozenDictionary<string, Cluster>.Empty, FrozenDictionary<string, RouteTable>.Empty, FrozenDictionary<string, ListenerConfiguration>.Empty);
}

public enum ListenerKind
{
    Http,
    Tcp,

    /// <summary>The proxy's own: readiness, metrics and what it is configured with.</summary>
    Status,
}

/// <param name="RouteName">Of the route table, for HTTP.</param>
/// <param name="ClusterName">Where everything goes, for TCP.</param>
/// <param name="IsGateway">Requests come from outside the mesh: the client's address is added to X-Forwarded-For.</param>
public sealed record ListenerConfiguration(
    string Name, IReadOnlyList<Reactor.SocketAddressV4> Addresses, ListenerKind Kind, string RouteName, string ClusterName, bool IsInbound,
    bool IsGateway, bool HasAccessLog, int StreamIdleMilliseconds, int MaximumHeadBytes);
