using System.Collections.Immutable;
using Weir.Mesh.Gateways;
using Weir.Mesh.Routes;
using Weir.Mesh.Services;
using Weir.Mesh.Workloads;
using Weir.Resources;

namespace Weir.Mesh;

/// <summary>The resources a snapshot is made of: the platform's own, and the model parts that the dialects read.</summary>
public sealed record MeshInputs(
    IReadOnlyCollection<Resource> Services, IReadOnlyCollection<Resource> EndpointSlices, IReadOnlyCollection<Resource> Pods,
    IReadOnlyList<VirtualRoute> Routes, IReadOnlyList<DestinationPolicy> Policies, IReadOnlyList<MeshGateway> Gateways);

/// <summary>Folds resources into a snapshot. Pure: the same inputs give an equal snapshot, in whatever order they come.</summary>
public static class MeshBuilder
{
    const string SidecarContainer = "istio-proxy";

    /// <param name="previous">Parts that come out equal are taken from here, so that equality further on is a comparison of references.</param>
    public static MeshSnapshot Build(MeshInputs inputs, MeshSnapshot previous)
    {
        var workloads = inputs.Pods.Select(p => Share(BuildWorkload(p), previous.Workloads.GetValueOrDefault(p.Key.ToString()), Same))
            .Where(w => w.Address.Length > 0).ToImmutableDictionary(w => $"{w.Namespace}/{w.Name}");
        var slices = inputs.EndpointSlices.ToLookup(s => (s.Namespace, s.Labels.GetValueOrDefault("kubernetes.io/service-name") ?? ""));
        var services = ImmutableSortedDictionary.CreateBuilder<string, MeshService>(StringComparer.Ordinal);
        foreach (var resource in inputs.Services.Where(s => s.Spec.Text("type") != "ExternalName"))
        {
            var service = BuildService(resource, slices[(resource.Namespace, resource.Name)], workloads);
            services[service.Host] = Share(service, previous.Services.GetValueOrDefault(service.Host), Same);
        }

        // The older rule wins wherever two claim the same: it was there first.
        static IOrderedEnumerable<T> ByAge<T>(IEnumerable<T> parts, Func<T, Origin> origin) => parts
            .OrderBy(p => origin(p).Created).ThenBy(p => origin(p).Key.Name, StringComparer.Ordinal).ThenBy(p => origin(p).Key.Namespace, StringComparer.Ordinal);
        var policies = ImmutableDictionary.CreateBuilder<string, DestinationPolicy>();
        foreach (var policy in ByAge(inputs.Policies, p => p.Origin))
        {
            policies[policy.Host] = policies.TryGetValue(policy.Host, out var older) ? Merge(older, policy) : policy;
        }

        return new MeshSnapshot(
            previous.Revision + 1, services.ToImmutable(), [.. ByAge(inputs.Routes, r => r.Origin)], policies.ToImmutable(),
            [.. ByAge(inputs.Gateways, g => g.Origin)], workloads);
    }

    /// <summary>Rules for one host add up their subsets; the oldest decides on the rest.</summary>
    static DestinationPolicy Merge(DestinationPolicy older, DestinationPolicy newer) =>
        older with { Subsets = newer.Subsets.SetItems(older.Subsets) };

    static T Share<T>(T built, T? previous, Func<T, T, bool> same)
        where T : class => previous is not null && same(built, previous) ? previous : built;

    static bool Same(Workload a, Workload b) =>
        a with { Labels = b.Labels, Ports = b.Ports, NamedPorts = b.NamedPorts } == b
        && a.Labels.SequenceEqual(b.Labels) && a.Ports.SequenceEqual(b.Ports) && SameSet(a.NamedPorts, b.NamedPorts);

    static bool Same(MeshService a, MeshService b) =>
        a with { Ports = b.Ports, Selector = b.Selector, Endpoints = b.Endpoints } == b
        && a.Ports.SequenceEqual(b.Ports) && a.Selector.SequenceEqual(b.Selector) && a.Endpoints.Length == b.Endpoints.Length
        && a.Endpoints.Zip(b.Endpoints).All(p => p.First.Address == p.Second.Address && ReferenceEquals(p.First.Workload, p.Second.Workload)
            && SameSet(p.First.Ports, p.Second.Ports));

    static bool SameSet(ImmutableDictionary<string, int> a, ImmutableDictionary<string, int> b) =>
        a.Count == b.Count && a.All(p => b.TryGetValue(p.Key, out var value) && value == p.Value);

    static MeshService BuildService(
        Resource service, IEnumerable<Resource> slices, ImmutableDictionary<string, Workload> workloads)
    {
        var endpoints = new List<MeshEndpoint>();
        foreach (var slice in slices.OrderBy(s => s.Name, StringComparer.Ordinal))
        {
            var ports = slice.Json.Objects("ports").Where(p => p.Number("port") is not null)
                .ToImmutableDictionary(p => p.Text("name") ?? "", p => (int)p.Number("port")!.Value);
            foreach (var endpoint in slice.Json.Objects("endpoints").Where(e => e["conditions"]?["ready"] is null || e.Flag("conditions", "ready")))
            {
                var pod = workloads.GetValueOrDefault($"{slice.Namespace}/{endpoint.Text("targetRef", "name")}");
                endpoints.AddRange(endpoint.Texts("addresses").Select(a => new MeshEndpoint(a, ports, pod)));
            }
        }

        return new MeshService(
            $"{service.Name}.{service.Namespace}.{MeshSnapshot.ClusterDomain}", service.Name, service.Namespace,
            service.Spec.Text("clusterIP") is { } ip && ip != "None" ? ip : "",
            [.. service.Spec.Objects("ports").Where(p => p.Text("protocol") is null or "TCP").Select(BuildPort)],
            Sorted(service.Spec.TextMap("selector")),
            [.. endpoints.DistinctBy(e => e.Address).OrderBy(e => e.Address, StringComparer.Ordinal)]);
    }

    static MeshPort BuildPort(System.Text.Json.Nodes.JsonObject port) => new(
        (int)(port.Number("port") ?? 0), port.Text("name") ?? "", ProtocolOf(port.Text("appProtocol"), port.Text("name")),
        (int)(port.Number("nodePort") ?? 0), port.Text("targetPort") ?? port.Text("port") ?? "");

    /// <summary>
    /// <c>appProtocol</c> first, else the port name up to its first dash, as Istio reads them. What says nothing is taken for
    /// HTTP, because this proxy does not look into the bytes to find out.
    /// </summary>
    static PortProtocol ProtocolOf(string? appProtocol, string? name)
    {
        var word = (appProtocol ?? name?.Split('-')[0] ?? "").ToLowerInvariant();
        return word is "tcp" or "tls" or "https" or "mongo" or "redis" or "mysql" or "udp" ? PortProtocol.Tcp : PortProtocol.Http;
    }

    static Workload BuildWorkload(Resource pod)
    {
        var containers = pod.Spec.Objects("containers").Where(c => c.Text("name") != SidecarContainer).ToList();
        var ports = containers.SelectMany(c => c.Objects("ports")).Where(p => p.Text("protocol") is null or "TCP").ToList();
        return new Workload(
            pod.Name, pod.Namespace, OwnerOf(pod), pod.Status.Text("podIP") ?? "", Sorted(pod.Labels),
            [.. ports.Select(p => (int)(p.Number("containerPort") ?? 0)).Distinct().Order()],
            ports.Where(p => p.Text("name") is not null).DistinctBy(p => p.Text("name"))
                .ToImmutableDictionary(p => p.Text("name")!, p => (int)(p.Number("containerPort") ?? 0)),
            pod.Annotations.ContainsKey("sidecar.istio.io/status"));
    }

    /// <summary>A deployment's pods belong to a replica set that carries the deployment's name and a hash.</summary>
    static string OwnerOf(Resource pod)
    {
        if (pod.Controller is not { } owner)
        {
            return pod.Name;
        }

        var hash = pod.Labels.GetValueOrDefault("pod-template-hash");
        return hash is not null && owner.Name.EndsWith("-" + hash, StringComparison.Ordinal) ? owner.Name[..^(hash.Length + 1)] : owner.Name;
    }

    static ImmutableSortedDictionary<string, string> Sorted(IReadOnlyDictionary<string, string> map) =>
        map.ToImmutableSortedDictionary(StringComparer.Ordinal);
}
