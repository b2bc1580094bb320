using Envoy.Config.Core.V3;

namespace Weir.Proxy.Configuration;

/// <summary>Who this proxy is: what it tells the control plane, and the labels of its own side in metrics.</summary>
/// <param name="Id">As Istio's: <c>sidecar~ADDRESS~POD.NAMESPACE~NAMESPACE.svc.cluster.local</c>, or <c>router~…</c>.</param>
public sealed record NodeIdentity(string Id, string Workload, string Namespace, string App, string Version)
{
    public bool IsGateway => Id.StartsWith("router~", StringComparison.Ordinal);

    public Node ToNode() => new() { Id = Id, Cluster = $"{App}.{Namespace}", UserAgentName = "weir-proxy" };

    /// <summary>From a pod's name when its controller did not say: <c>podinfo-6f9c-x2p</c> belongs to <c>podinfo</c>.</summary>
    public static string WorkloadOf(string podName)
    {
        var parts = podName.Split('-');
        return parts.Length > 2 ? string.Join('-', parts[..^2]) : podName;
    }
}
