using System.Collections.Immutable;
using Weir.Mesh.Workloads;

namespace Weir.Mesh.Services;

public enum PortProtocol
{
    Http,
    Tcp,
}

/// <param name="NodePort">On the machine itself; 0 for none.</param>
/// <param name="TargetPort">As the service says: a number, or the name of a container's port.</param>
public sealed record MeshPort(int Number, string Name, PortProtocol Protocol, int NodePort, string TargetPort);

/// <summary>A service and who serves it.</summary>
public sealed record MeshService(
    string Host, string Name, string Namespace, string ClusterIp, ImmutableArray<MeshPort> Ports,
    ImmutableSortedDictionary<string, string> Selector, ImmutableArray<MeshEndpoint> Endpoints)
{
    public MeshPort? Port(int number) => Ports.FirstOrDefault(p => p.Number == number);
}

/// <summary>A ready address of a service.</summary>
/// <param name="Ports">By the service port's name.</param>
public sealed record MeshEndpoint(string Address, ImmutableDictionary<string, int> Ports, Workload? Workload);
