using System.Collections.Immutable;

namespace Weir.Mesh.Workloads;

/// <summary>A pod, as the mesh sees it.</summary>
/// <param name="Name">Of the pod.</param>
/// <param name="Owner">Of what made it: the deployment's name.</param>
/// <param name="Ports">The TCP ports its application containers declare.</param>
/// <param name="HasSidecar">Its ports are served by a proxy of the mesh.</param>
public sealed record Workload(
    string Name, string Namespace, string Owner, string Address, ImmutableSortedDictionary<string, string> Labels,
    ImmutableArray<int> Ports, ImmutableDictionary<string, int> NamedPorts, bool HasSidecar)
{
    public string App => Labels.GetValueOrDefault("app") ?? Labels.GetValueOrDefault("app.kubernetes.io/name") ?? Owner;

    public string Version => Labels.GetValueOrDefault("version") ?? "latest";

    public bool Matches(IEnumerable<KeyValuePair<string, string>> selector) =>
        selector.All(s => Labels.TryGetValue(s.Key, out var value) && value == s.Value);
}
