using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Weir.Xds;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Tests;

public class AssignmentTests
{
    [Fact]
    public async Task Clusters_follow_the_assignment_that_they_name_now()
    {
        await using var proxy = new ProxyHarness();
        void Name(string cluster, string service) => Assert.Null(proxy.Apply(XdsTypes.Cluster, (cluster, Eds(cluster, service))));
        void Give(string service, params int[] ports) => Assert.Null(proxy.Apply(XdsTypes.Endpoints, (service, Assignment(service, ports))));
        int Count(string cluster) => proxy.Engine.Clusters.Slot(cluster).Current!.All.Endpoints.Length;

        Name("a", "one");
        Name("b", "one");
        Give("one", 1, 2);
        Assert.Equal((2, 2), (Count("a"), Count("b")));

        Name("b", "two");
        Give("two", 3);
        Give("one", 1, 2, 3);
        Assert.Equal((3, 1), (Count("a"), Count("b")));

        proxy.Store.Apply(XdsTypes.Cluster, [], ["a"]);
        Give("one", 1);
        Assert.Null(proxy.Engine.Clusters.Slot("a").Current);
        Assert.Equal(1, Count("b"));
    }

    static XdsCluster Eds(string name, string service) => new()
    {
        Name = name,
        Type = XdsCluster.Types.DiscoveryType.Eds,
        EdsClusterConfig = new XdsCluster.Types.EdsClusterConfig { ServiceName = service, EdsConfig = new ConfigSource { Ads = new AggregatedConfigSource() } },
    };

    static ClusterLoadAssignment Assignment(string name, params int[] ports)
    {
        var group = new LocalityLbEndpoints();
        group.LbEndpoints.Add(ports.Select(p => new LbEndpoint { Endpoint = new Endpoint { Address = ProxyHarness.Socket(p) } }));
        return new ClusterLoadAssignment { ClusterName = name, Endpoints = { group } };
    }
}
