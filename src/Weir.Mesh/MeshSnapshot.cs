using System.Collections.Immutable;
using Weir.Mesh.Gateways;
using Weir.Mesh.Routes;
using Weir.Mesh.Services;
using Weir.Mesh.Workloads;

namespace Weir.Mesh;

/// <summary>
/// One immutable picture of the mesh: what there is, and what users want done with traffic to it. Parts that did not change from
/// one snapshot to the next are the same objects.
/// </summary>
/// <param name="Services">By full host name.</param>
/// <param name="Routes">Oldest first: the order in which conflicts are decided.</param>
/// <param name="Workloads">Pods, by namespace and name.</param>
public sealed record MeshSnapshot(
    long Revision,
    ImmutableSortedDictionary<string, MeshService> Services,
    ImmutableArray<VirtualRoute> Routes,
    ImmutableDictionary<string, DestinationPolicy> Policies,
    ImmutableArray<MeshGateway> Gateways,
    ImmutableDictionary<string, Workload> Workloads)
{
    public const string ClusterDomain = "svc.cluster.local";

    public static readonly MeshSnapshot Empty = new(
        0, ImmutableSortedDictionary<string, MeshService>.Empty, [], ImmutableDictionary<string, DestinationPolicy>.Empty, [],
        ImmutableDictionary<string, Workload>.Empty);

    /// <summary>As Istio: a name without a dot is a service of the rule's own namespace; everything else stands as it is.</summary>
    public static string FullHost(string host, string ns) =>
        host.Contains('.') || host == "*" || host.Length == 0 ? Expand(host) : $"{host}.{ns}.{ClusterDomain}";

    /// <summary><c>name.namespace</c> and <c>name.namespace.svc</c> are names of services too, if they look like one.</summary>
    static string Expand(string host) =>
        host.EndsWith(".svc", StringComparison.Ordinal) && host.Count(c => c == '.') == 2 ? host + ".cluster.local" : host;
}
