using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Upstream;

/// <summary>What an attempt is for; the same for every attempt of a request.</summary>
/// <param name="Subset">Which endpoints of the cluster may be used; as <see cref="SubsetKey"/>.</param>
/// <param name="Hash">Of the request's key, where the cluster keeps keys together.</param>
/// <param name="Downstream">The client; null for requests of the proxy's own.</param>
/// <param name="IsRaw">Bytes, not requests.</param>
/// <param name="IsHttp2">What the client speaks, for clusters that follow it.</param>
readonly record struct AttemptTarget(Cluster Cluster, string? Subset, ulong? Hash, Downstream? Downstream, bool IsRaw, bool IsHttp2);
