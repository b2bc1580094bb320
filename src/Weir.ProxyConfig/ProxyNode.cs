namespace Weir.ProxyConfig;

public enum ProxyRole
{
    /// <summary>Stands beside an application.</summary>
    Sidecar,

    /// <summary>Lets traffic into the mesh.</summary>
    Router,

    /// <summary>Serves cluster IPs to clients outside the mesh.</summary>
    Node,
}

/// <summary>A proxy as its id names it: <c>ROLE~ADDRESS~POD.NAMESPACE~DOMAIN</c>.</summary>
public sealed record ProxyNode(ProxyRole Role, string Address, string Pod, string Namespace)
{
    /// <summary>Null when the id is not of that form.</summary>
    public static ProxyNode? Parse(string id)
    {
        var parts = id.Split('~');
        if (parts.Length != 4 || parts[2].LastIndexOf('.') is not (> 0 and var dot))
        {
            return null;
        }

        ProxyRole? role = parts[0] switch
        {
            "sidecar" => ProxyRole.Sidecar,
            "router" => ProxyRole.Router,
            "node" => ProxyRole.Node,
            _ => null,
        };
        return role is { } known ? new ProxyNode(known, parts[1], parts[2][..dot], parts[2][(dot + 1)..]) : null;
    }
}

/// <param name="ApplicationAddress">From a pod's address to the one its application listens on behind the sidecar.</param>
/// <param name="LowestPort">The lowest port that proxies may open here.</param>
public sealed record CompileOptions(Func<string, string> ApplicationAddress, int LowestPort)
{
    /// <summary>Where sidecars take outbound requests.</summary>
    public int OutboundPort { get; init; } = 15001;

    /// <summary>Ports of the proxy itself, which no listener may take.</summary>
    public IReadOnlySet<int> ReservedPorts { get; init; } = new HashSet<int> { 15000, 15001, 15020 };

    /// <summary>What is added to a gateway's port that may not be opened and that no service maps to another.</summary>
    public int PrivilegedPortOffset { get; init; } = 8000;
}
