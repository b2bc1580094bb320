using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Weir.Mesh;
using Weir.Mesh.Routes;
using Weir.Mesh.Services;
using Weir.Mesh.Workloads;
using Weir.ProxyConfig.Clusters;

namespace Weir.ProxyConfig.Routes;

/// <summary>
/// The one route table of a sidecar: a virtual host for every port of every service, under all the names by which an application
/// may call it, and for every other host that a rule of the mesh speaks of.
/// </summary>
static class OutboundRoutes
{
    public const string Name = "outbound";

    public static RouteConfiguration Build(MeshSnapshot mesh, string ns, Workload? source)
    {
        var configuration = new RouteConfiguration { Name = Name };
        var routes = mesh.Routes.Where(r => r.Gateways.Contains(VirtualRoute.Mesh) && r.IsVisibleTo(ns)).ToList();
        var taken = new HashSet<string>();
        foreach (var service in mesh.Services.Values)
        {
            var owner = OwnerOf(routes, service, ns);
            foreach (var port in service.Ports.Where(p => p.Protocol == PortProtocol.Http))
            {
                var host = new VirtualHost { Name = $"{service.Host}:{port.Number}" };
                host.Domains.Add(Domains(service, port.Number, ns).Where(taken.Add));
                if (host.Domains.Count > 0)
                {
                    AddRoutes(host, mesh, owner, new RuleScope(VirtualRoute.Mesh, port.Number, source), ClusterNames.Outbound(port.Number, "", service.Host));
                    configuration.VirtualHosts.Add(host);
                }
            }
        }

        foreach (var (route, name) in routes.SelectMany(r => r.Hosts.Where(h => !mesh.Services.ContainsKey(h)).Select(h => (r, h))))
        {
            var host = new VirtualHost { Name = name };
            host.Domains.Add(new[] { name, name == "*" ? "*" : name + ":*" }.Distinct().Where(d => !(d.StartsWith('*') && d.EndsWith(":*", StringComparison.Ordinal))).Where(taken.Add));
            if (host.Domains.Count > 0)
            {
                AddRoutes(host, mesh, route, new RuleScope(VirtualRoute.Mesh, 80, source), null);
                configuration.VirtualHosts.Add(host);
            }
        }

        if (taken.Add("*"))
        {
            configuration.VirtualHosts.Add(BlackHole());
        }

        return configuration;
    }

    /// <summary>One rule set owns a host: the caller's own namespace before others, the more specific before a wildcard, the older before the newer.</summary>
    static VirtualRoute? OwnerOf(List<VirtualRoute> routes, MeshService service, string ns) => routes
        .Select((route, age) => (Route: route, Age: age, Host: route.Hosts.Where(h => Covers(h, service.Host)).MaxBy(h => h.StartsWith('*') ? h.Length - 1000 : h.Length)))
        .Where(r => r.Host is not null)
        .OrderBy(r => r.Host!.StartsWith('*')).ThenByDescending(r => r.Host!.Length)
        .ThenByDescending(r => r.Route.Origin.Key.Namespace == ns).ThenBy(r => r.Age)
        .Select(r => r.Route).FirstOrDefault();

    static bool Covers(string pattern, string host) =>
        pattern == host || (pattern.StartsWith('*') && host.EndsWith(pattern[1..], StringComparison.Ordinal));

    static void AddRoutes(VirtualHost host, MeshSnapshot mesh, VirtualRoute? owner, RuleScope scope, string? defaultCluster)
    {
        if (owner is not null)
        {
            host.Routes.Add(RuleCompiler.Compile(mesh, owner, scope));
        }
        else if (defaultCluster is not null)
        {
            host.Routes.Add(new Route
            {
                Name = "default",
                Match = new RouteMatch { Prefix = "/" },
                Route_ = new RouteAction { Cluster = defaultCluster, Timeout = RuleCompiler.NoTimeout },
            });
        }
    }

    static IEnumerable<string> Domains(MeshService service, int port, string ns)
    {
        List<string> names =
        [
            service.Host, service.Host + ".", $"{service.Name}.{service.Namespace}.svc", $"{service.Name}.{service.Namespace}",
        ];
        if (service.Namespace == ns)
        {
            names.Add(service.Name);
        }

        if (service.ClusterIp.Length > 0)
        {
            names.Add(service.ClusterIp);
        }

        foreach (var name in names)
        {
            yield return $"{name}:{port}";
            if (port == 80)
            {
                yield return name;
            }
        }
    }

    /// <summary>Nothing is sent outside the machine unless a resource says so; the answer says what to look for.</summary>
    static VirtualHost BlackHole()
    {
        var host = new VirtualHost { Name = "block_all" };
        host.Domains.Add("*");
        host.Routes.Add(new Route
        {
            Name = "block_all",
            Match = new RouteMatch { Prefix = "/" },
            DirectResponse = new DirectResponseAction
            {
                Status = 502,
                Body = new DataSource { InlineString = "no service of the mesh has this host and port" },
            },
        });
        return host;
    }
}
