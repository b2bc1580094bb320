using System.Collections.Immutable;
using Weir.Mesh.Routes;

namespace Weir.Mesh.Gateways;

/// <summary>Ports that gateway pods open, for which hosts.</summary>
/// <param name="Selector">Labels of the gateway pods, in any namespace.</param>
public sealed record MeshGateway(Origin Origin, ImmutableSortedDictionary<string, string> Selector, ImmutableArray<GatewayServer> Servers)
{
    /// <summary>As routes name it.</summary>
    public string Name => Origin.Key.ToString();
}

/// <param name="Hosts">Full names or wildcards, without a namespace in front.</param>
public sealed record GatewayServer(int Port, ImmutableArray<string> Hosts);
