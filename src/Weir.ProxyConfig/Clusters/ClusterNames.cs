namespace Weir.ProxyConfig.Clusters;

/// <summary>Cluster names as Istio writes them, so that its users find their way in dumps and metrics.</summary>
public static class ClusterNames
{
    public static string Outbound(int port, string subset, string host) => $"outbound|{port}|{subset}|{host}";

    public static string Inbound(int port) => $"inbound|{port}||";
}
