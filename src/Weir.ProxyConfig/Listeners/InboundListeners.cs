using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Route.V3;
using Weir.Mesh;
using Weir.Mesh.Services;
using Weir.Mesh.Workloads;
using Weir.ProxyConfig.Clusters;
using Weir.ProxyConfig.Routes;
using Weir.Xds;

namespace Weir.ProxyConfig.Listeners;

/// <summary>What a sidecar serves in its application's place: every port the pod declares or a service names.</summary>
static class InboundListeners
{
    public static IEnumerable<(int Port, bool IsHttp, MeshService? Service)> Ports(MeshSnapshot mesh, Workload? workload, CompileOptions options)
    {
        if (workload is null)
        {
            yield break;
        }

        var served = new SortedDictionary<int, (bool IsHttp, MeshService? Service)>();
        foreach (var port in workload.Ports)
        {
            served[port] = (true, null);
        }

        foreach (var service in mesh.Services.Values.Where(s => s.Namespace == workload.Namespace && !s.Selector.IsEmpty && workload.Matches(s.Selector)))
        {
            foreach (var port in service.Ports)
            {
                var target = int.TryParse(port.TargetPort, out var number) ? number : workload.NamedPorts.GetValueOrDefault(port.TargetPort);
                if (target > 0 && (!served.TryGetValue(target, out var known) || known.Service is null))
                {
                    served[target] = (port.Protocol == PortProtocol.Http, service);
                }
            }
        }

        foreach (var (port, (isHttp, service)) in served.Where(p => p.Key >= options.LowestPort && !options.ReservedPorts.Contains(p.Key)))
        {
            yield return (port, isHttp, service);
        }
    }

    public static XdsResource Cluster(string application, int port, MeshService? service)
    {
        var name = ClusterNames.Inbound(port);
        var endpoints = new LocalityLbEndpoints();
        endpoints.LbEndpoints.Add(new LbEndpoint { Endpoint = new Envoy.Config.Endpoint.V3.Endpoint { Address = ConfigSources.Socket(application, port) } });
        var assignment = new ClusterLoadAssignment { ClusterName = name };
        assignment.Endpoints.Add(endpoints);
        return new XdsResource(name, new Cluster
        {
            Name = name,
            Type = Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Static,
            LbPolicy = Envoy.Config.Cluster.V3.Cluster.Types.LbPolicy.RoundRobin,
            LoadAssignment = assignment,
            Metadata = service is null ? null : IstioMetadata.OfService(service),
        });
    }

    public static XdsResource Listener(string address, int port, bool isHttp)
    {
        var name = $"{address}_{port}";
        if (!isHttp)
        {
            return TcpListeners.Build(name, address, port, ClusterNames.Inbound(port), TrafficDirection.Inbound);
        }

        var host = new VirtualHost { Name = "inbound|http|" + port };
        host.Domains.Add("*");
        host.Routes.Add(new Route
        {
            Name = "default",
            Match = new RouteMatch { Prefix = "/" },
            Route_ = new RouteAction { Cluster = ClusterNames.Inbound(port), Timeout = RuleCompiler.NoTimeout },
        });

        // The asterisk of "OPTIONS *" is no path that starts with a slash.
        host.Routes.Add(new Route
        {
            Name = "options",
            Match = new RouteMatch { Path = "*" },
            Route_ = new RouteAction { Cluster = ClusterNames.Inbound(port), Timeout = RuleCompiler.NoTimeout },
        });
        var routes = new RouteConfiguration { Name = $"inbound|{port}" };
        routes.VirtualHosts.Add(host);
        return HttpListeners.Inline(name, address, port, routes, TrafficDirection.Inbound);
    }
}
