using Weir.Mesh;
using Weir.Mesh.Workloads;
using Weir.ProxyConfig.Clusters;
using Weir.ProxyConfig.Listeners;
using Weir.ProxyConfig.Routes;
using Weir.Xds;

namespace Weir.ProxyConfig;

/// <summary>What one proxy must do, from the mesh's picture. Pure. A proxy is told only of what it can reach.</summary>
public static class ProxyCompiler
{
    public static XdsSnapshot Compile(MeshSnapshot mesh, ProxyNode node, CompileOptions options) =>
        XdsSnapshot.Create(mesh.Revision, node.Role switch
        {
            ProxyRole.Sidecar => Sidecar(mesh, node, options),
            ProxyRole.Router => Gateway(mesh, node, options),
            _ => NodeProxy(mesh, options),
        });

    static IEnumerable<(string, XdsResource)> Sidecar(MeshSnapshot mesh, ProxyNode node, CompileOptions options)
    {
        var workload = WorkloadOf(mesh, node);
        var application = options.ApplicationAddress(node.Address);
        var outbound = OutboundRoutes.Build(mesh, node.Namespace, workload);
        foreach (var resource in OutboundClusters.Build(mesh))
        {
            yield return resource;
        }

        foreach (var (port, isHttp, service) in InboundListeners.Ports(mesh, workload, options))
        {
            yield return (XdsTypes.Cluster, InboundListeners.Cluster(application, port, service));
            yield return (XdsTypes.Listener, InboundListeners.Listener(node.Address, port, isHttp));
        }

        yield return (XdsTypes.Listener, HttpListeners.Routed(
            "outbound", application, options.OutboundPort, OutboundRoutes.Name, Envoy.Config.Core.V3.TrafficDirection.Outbound));
        yield return (XdsTypes.Route, new XdsResource(OutboundRoutes.Name, outbound));
    }

    static IEnumerable<(string, XdsResource)> Gateway(MeshSnapshot mesh, ProxyNode node, CompileOptions options)
    {
        foreach (var resource in OutboundClusters.Build(mesh))
        {
            yield return resource;
        }

        if (WorkloadOf(mesh, node) is { } workload)
        {
            foreach (var resource in GatewayListeners.Build(mesh, workload, options))
            {
                yield return resource;
            }
        }
    }

    static IEnumerable<(string, XdsResource)> NodeProxy(MeshSnapshot mesh, CompileOptions options)
    {
        foreach (var resource in OutboundClusters.Build(mesh))
        {
            yield return resource;
        }

        foreach (var service in mesh.Services.Values.Where(s => s.ClusterIp.Length > 0))
        {
            foreach (var port in service.Ports.Where(p => p.Number >= options.LowestPort))
            {
                yield return (XdsTypes.Listener, TcpListeners.Build(
                    $"{service.ClusterIp}_{port.Number}", service.ClusterIp, port.Number, ClusterNames.Outbound(port.Number, "", service.Host),
                    Envoy.Config.Core.V3.TrafficDirection.Outbound));
            }
        }
    }

    static Workload? WorkloadOf(MeshSnapshot mesh, ProxyNode node) => mesh.Workloads.GetValueOrDefault($"{node.Namespace}/{node.Pod}");
}
