using System.Collections.Frozen;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Route.V3;
using Google.Protobuf;
using Weir.Proxy.Routing;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>
/// Collects what the control plane sends and makes complete configurations of it. A response with an error changes nothing; a
/// listener whose routes have not come yet is left out until they have.
/// </summary>
public sealed class ConfigStore(ConfigTranslator translator, Func<ProxyConfiguration, string?> publish) : IConfigSink
{
    Dictionary<string, Envoy.Config.Cluster.V3.Cluster> clusters = [];
    Dictionary<string, ClusterLoadAssignment> assignments = [];
    Dictionary<string, Envoy.Config.Listener.V3.Listener> listeners = [];
    Dictionary<string, RouteConfiguration> routes = [];
    readonly HashSet<string> received = [];
    Dictionary<string, LoadBalancing.Cluster> builtClusters = [];
    Dictionary<string, RouteTable> builtRoutes = [];
    Dictionary<string, RouteTable> activeRoutes = [];
    HashSet<string> endpointNames = [];
    HashSet<string> routeNames = [];

    /// <summary>Clusters and listeners have been accepted, and every listener has had what it needs to serve.</summary>
    public bool IsReady { get; private set; }

    bool HasPendingListeners { get; set; }

    public IReadOnlySet<string> References(string type) => type == XdsTypes.Endpoints ? endpointNames : routeNames;

    public string? Apply(string type, IReadOnlyList<(string Name, ByteString Value)> changed, IReadOnlyList<string> removed)
    {
        var before = (clusters, assignments, listeners, routes, builtClusters, builtRoutes, activeRoutes);
        try
        {
            // Copies, so that an error half-way leaves what was.
            (clusters, assignments, listeners, routes) = (new(clusters), new(assignments), new(listeners), new(routes));
            (builtClusters, builtRoutes, activeRoutes) = (new(builtClusters), new(builtRoutes), new(activeRoutes));
            Merge(type, changed, removed);
            var error = publish(Build());
            if (error is null)
            {
                received.Add(type);
                IsReady |= received.Contains(XdsTypes.Cluster) && received.Contains(XdsTypes.Listener) && !HasPendingListeners;
                return null;
            }

            (clusters, assignments, listeners, routes, builtClusters, builtRoutes, activeRoutes) = before;
            return error;
        }
        catch (Exception e) when (e is ConfigException or InvalidProtocolBufferException or ArgumentException)
        {
            (clusters, assignments, listeners, routes, builtClusters, builtRoutes, activeRoutes) = before;
            return e.Message;
        }
    }

    void Merge(string type, IReadOnlyList<(string Name, ByteString Value)> changed, IReadOnlyList<string> removed)
    {
        foreach (var (name, value) in changed)
        {
            switch (type)
            {
                case XdsTypes.Cluster:
                    clusters[name] = Envoy.Config.Cluster.V3.Cluster.Parser.ParseFrom(value);
                    builtClusters.Remove(name);
                    break;
                case XdsTypes.Endpoints:
                    assignments[name] = ClusterLoadAssignment.Parser.ParseFrom(value);
                    builtClusters.Remove(name);
                    break;
                case XdsTypes.Listener:
                    listeners[name] = Envoy.Config.Listener.V3.Listener.Parser.ParseFrom(value);
                    break;
                case XdsTypes.Route:
                    routes[name] = RouteConfiguration.Parser.ParseFrom(value);
                    builtRoutes.Remove(name);
                    break;
            }
        }

        foreach (var name in removed)
        {
            switch (type)
            {
                case XdsTypes.Cluster:
                    clusters.Remove(name);
                    assignments.Remove(name);
                    builtClusters.Remove(name);
                    break;
                case XdsTypes.Listener:
                    listeners.Remove(name);
                    break;
                case XdsTypes.Route:
                    routes.Remove(name);
                    builtRoutes.Remove(name);
                    activeRoutes.Remove(name);
                    break;
            }
        }
    }

    /// <summary>
    /// Routes are used once the endpoints of all their clusters have come; until then those before them stay in force. A cluster
    /// that the control plane does not know at all does not hold them up.
    /// </summary>
    bool IsWarm(RouteTable table) => table.Clusters.All(name =>
        !clusters.TryGetValue(name, out var cluster)
        || cluster.Type != Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Eds || assignments.ContainsKey(name));

    /// <summary>Only what changed is translated again: the rest is the same object as before, its round robin and schedules with it.</summary>
    ProxyConfiguration Build()
    {
        foreach (var (name, cluster) in clusters)
        {
            if (!builtClusters.ContainsKey(name))
            {
                builtClusters[name] = translator.Cluster(cluster, assignments.GetValueOrDefault(name));
            }
        }

        foreach (var (name, route) in routes)
        {
            if (!builtRoutes.TryGetValue(name, out var table))
            {
                builtRoutes[name] = table = ConfigTranslator.Routes(route);
            }

            if (IsWarm(table))
            {
                activeRoutes[name] = table;
            }
        }

        var tables = new Dictionary<string, RouteTable>(activeRoutes);
        var wanted = new HashSet<string>();
        var ready = new Dictionary<string, ListenerConfiguration>();
        foreach (var (name, listener) in listeners)
        {
            var inline = "";
            var built = translator.Listener(listener, routes =>
            {
                inline = routes.Name;
                tables[inline] = ConfigTranslator.Routes(routes);
            });
            if (built.Kind == ListenerKind.Http && built.RouteName != inline)
            {
                wanted.Add(built.RouteName);
            }

            if (built.Kind != ListenerKind.Http || tables.ContainsKey(built.RouteName))
            {
                ready[name] = built;
            }
        }

        HasPendingListeners = ready.Count < listeners.Count;
        routeNames = wanted;
        endpointNames = [.. clusters.Values.Where(c => c.Type == Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Eds).Select(c => c.Name)];
        return new ProxyConfiguration(builtClusters.ToFrozenDictionary(), tables.ToFrozenDictionary(), ready.ToFrozenDictionary());
    }
}
