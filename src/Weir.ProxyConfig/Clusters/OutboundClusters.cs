using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Mesh;
using Weir.Mesh.Routes;
using Weir.Mesh.Services;
using Weir.Xds;
using LoadBalancing = Weir.Mesh.Routes.LoadBalancing;

namespace Weir.ProxyConfig.Clusters;

/// <summary>A cluster and its endpoints for every port of every service, and for every subset of it.</summary>
static class OutboundClusters
{
    static readonly Duration ConnectTimeout = new() { Seconds = 10 };

    public static IEnumerable<(string Type, XdsResource Resource)> Build(MeshSnapshot mesh)
    {
        foreach (var service in mesh.Services.Values)
        {
            var policy = mesh.Policies.GetValueOrDefault(service.Host);
            foreach (var port in service.Ports)
            {
                foreach (var resource in BuildOne(service, port, null, policy?.LoadBalancing ?? LoadBalancing.LeastRequest))
                {
                    yield return resource;
                }

                foreach (var subset in policy?.Subsets.Values.OrderBy(s => s.Name, StringComparer.Ordinal) ?? Enumerable.Empty<Subset>())
                {
                    foreach (var resource in BuildOne(service, port, subset, subset.LoadBalancing ?? policy!.LoadBalancing))
                    {
                        yield return resource;
                    }
                }
            }
        }
    }

    static IEnumerable<(string, XdsResource)> BuildOne(MeshService service, MeshPort port, Subset? subset, LoadBalancing loadBalancing)
    {
        var name = ClusterNames.Outbound(port.Number, subset?.Name ?? "", service.Host);
        yield return (XdsTypes.Cluster, new XdsResource(name, new Cluster
        {
            Name = name,
            Type = Cluster.Types.DiscoveryType.Eds,
            EdsClusterConfig = new Cluster.Types.EdsClusterConfig { EdsConfig = ConfigSources.Ads, ServiceName = name },
            ConnectTimeout = ConnectTimeout,
            LbPolicy = loadBalancing switch
            {
                LoadBalancing.RoundRobin => Cluster.Types.LbPolicy.RoundRobin,
                LoadBalancing.Random => Cluster.Types.LbPolicy.Random,
                _ => Cluster.Types.LbPolicy.LeastRequest,
            },
            Metadata = IstioMetadata.OfService(service),
        }));

        var endpoints = new LocalityLbEndpoints();
        foreach (var endpoint in service.Endpoints)
        {
            if (endpoint.Ports.TryGetValue(port.Name, out var number) && (subset is null || endpoint.Workload?.Matches(subset.Labels) == true))
            {
                endpoints.LbEndpoints.Add(new LbEndpoint
                {
                    Endpoint = new Envoy.Config.Endpoint.V3.Endpoint { Address = ConfigSources.Socket(endpoint.Address, number) },
                    HealthStatus = HealthStatus.Healthy,
                    Metadata = endpoint.Workload is null ? null : IstioMetadata.OfWorkload(endpoint.Workload),
                });
            }
        }

        var assignment = new ClusterLoadAssignment { ClusterName = name };
        assignment.Endpoints.Add(endpoints);
        yield return (XdsTypes.Endpoints, new XdsResource(name, assignment));
    }
}
