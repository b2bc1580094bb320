using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Weir.Mesh;
using Weir.Mesh.Gateways;
using Weir.Mesh.Services;
using Weir.Mesh.Workloads;
using Weir.ProxyConfig.Routes;
using Weir.Xds;

namespace Weir.ProxyConfig.Listeners;

/// <summary>The ports of a gateway pod: one listener and one route table for each port that a Gateway resource opens on it.</summary>
static class GatewayListeners
{
    public static IEnumerable<(string, XdsResource)> Build(MeshSnapshot mesh, Workload workload, CompileOptions options)
    {
        var mine = mesh.Gateways.Where(g => workload.Matches(g.Selector)).ToList();
        foreach (var port in mine.SelectMany(g => g.Servers).Select(s => s.Port).Distinct().Order())
        {
            var (bindPort, nodePort) = PortsOf(mesh, workload, port, options);
            var routes = $"http.{port}";
            yield return (XdsTypes.Listener, HttpListeners.Routed(
                $"gateway_{port}", workload.Address, bindPort, routes, TrafficDirection.Outbound,
                nodePort > 0 ? [("127.0.0.1", nodePort)] : []));
            yield return (XdsTypes.Route, new XdsResource(routes, Routes(mesh, mine, port, routes)));
        }
    }

    /// <summary>
    /// A service in front of the gateway says where its port really goes and which port of the machine leads to it. Without one,
    /// the port itself, or one that may be opened in its place.
    /// </summary>
    static (int Bind, int NodePort) PortsOf(MeshSnapshot mesh, Workload workload, int port, CompileOptions options)
    {
        foreach (var service in mesh.Services.Values.Where(s => s.Namespace == workload.Namespace && !s.Selector.IsEmpty && workload.Matches(s.Selector)))
        {
            if (service.Port(port) is { } found)
            {
                var target = int.TryParse(found.TargetPort, out var number) ? number : workload.NamedPorts.GetValueOrDefault(found.TargetPort);
                return (target > 0 ? target : port, found.NodePort);
            }
        }

        return (port < options.LowestPort ? port + options.PrivilegedPortOffset : port, 0);
    }

    /// <summary>All rules bound to the gateways of this port, by host; rules for one host follow each other in order of age.</summary>
    static RouteConfiguration Routes(MeshSnapshot mesh, List<MeshGateway> gateways, int port, string name)
    {
        var hosts = new SortedDictionary<string, List<Route>>(StringComparer.Ordinal);
        foreach (var route in mesh.Routes)
        {
            foreach (var gateway in gateways.Where(g => route.Gateways.Contains(g.Name)))
            {
                var open = gateway.Servers.Where(s => s.Port == port).SelectMany(s => s.Hosts).ToList();
                foreach (var host in route.Hosts.SelectMany(h => open.Select(o => Intersect(h, o))).OfType<string>().Distinct())
                {
                    if (!hosts.TryGetValue(host, out var rules))
                    {
                        hosts[host] = rules = [];
                    }

                    rules.AddRange(RuleCompiler.Compile(mesh, route, new RuleScope(gateway.Name, port, null)));
                }
            }
        }

        // A client names a port of the machine in Host that no rule can know of.
        var configuration = new RouteConfiguration { Name = name, IgnorePortInHostMatching = true };
        foreach (var (host, rules) in hosts)
        {
            var virtualHost = new VirtualHost { Name = $"{host}:{port}" };
            virtualHost.Domains.Add(host);

            // Rules without conditions would hide what follows them: they go last.
            virtualHost.Routes.Add(rules.OrderBy(RuleCompiler.IsCatchAll));
            configuration.VirtualHosts.Add(virtualHost);
        }

        return configuration;
    }

    /// <summary>The narrower of two host patterns, or null when they have nothing in common.</summary>
    static string? Intersect(string a, string b) => Covers(b, a) ? a : Covers(a, b) ? b : null;

    static bool Covers(string wide, string narrow) =>
        wide == "*" || wide == narrow || (wide.StartsWith('*') && narrow.EndsWith(wide[1..], StringComparison.Ordinal));
}
