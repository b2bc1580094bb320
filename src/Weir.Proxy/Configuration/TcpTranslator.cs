using Envoy.Config.Core.V3;
using Envoy.Extensions.Filters.Network.TcpProxy.V3;
using Weir.Proxy.Filters;
using Weir.Proxy.Listeners;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Configuration;

/// <summary>How a filter chain passes on bytes.</summary>
static class TcpTranslator
{
    const int DefaultIdle = 3600_000;
    const uint MostAttempts = 100;

    public static TcpOptions Translate(string owner, TcpProxy tcp, Translation translation)
    {
        string? Subset(Metadata? metadata) => Common.Metadata(metadata, "envoy.lb") is { Count: > 0 } labels ? SubsetKey.Of(labels) : null;
        WeightedTarget Target(string field, string cluster, Metadata? metadata) => new(translation.Clusters.Slot(Common.Name(field, cluster)), HeaderRules.None, Subset(metadata));
        var targets = tcp.ClusterSpecifierCase switch
        {
            TcpProxy.ClusterSpecifierOneofCase.WeightedClusters => tcp.WeightedClusters.Clusters.Where(c => c.Weight > 0)
                .Select(c => (Target($"{owner}: tcp_proxy: weighted_clusters.clusters.name", c.Name, c.MetadataMatch ?? tcp.MetadataMatch), c.Weight)).ToList(),
            _ => [(Target($"{owner}: tcp_proxy: cluster", tcp.Cluster, tcp.MetadataMatch), 1u)],
        };
        if (targets.Count == 0)
        {
            throw new ConfigException($"{owner}: tcp_proxy: no cluster has a weight");
        }

        if (tcp.MaxConnectAttempts is 0 or > MostAttempts)
        {
            throw new ConfigException($"{owner}: tcp_proxy: max_connect_attempts: {tcp.MaxConnectAttempts} is not 1 to {MostAttempts}");
        }

        return new TcpOptions
        {
            Targets = [.. targets.Select(t => t.Item1)],
            Schedule = targets.Count > 1 ? new WeightedSchedule([.. targets.Select(t => t.Item2)]) : null,
            AccessLogs = AccessLogTranslator.Translate(owner, tcp.AccessLog, translation),
            IdleMilliseconds = Common.Milliseconds(tcp.IdleTimeout, DefaultIdle),
            MaximumMilliseconds = Common.Milliseconds(tcp.MaxDownstreamConnectionDuration, 0),
            ConnectAttempts = (int)(tcp.MaxConnectAttempts ?? 1),
        };
    }
}
