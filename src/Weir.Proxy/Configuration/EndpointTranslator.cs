using System.Collections.Frozen;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Endpoint = Weir.Proxy.LoadBalancing.Endpoint;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Configuration;

/// <summary>The endpoints of a cluster, and the subsets of them.</summary>
/// <param name="scope">Where requests to an endpoint of these metadata are counted.</param>
/// <param name="now">Milliseconds of the loops' clock: when new endpoints are taken to have come.</param>
sealed class EndpointTranslator(string owner, XdsCluster cluster, int loops, long now, Func<Dictionary<string, string>, StatsScope> scope, Reading reading)
{
    const string IstioMetadata = "istio";
    const string BalancerMetadata = "envoy.lb";

    readonly SortedDictionary<uint, List<Endpoint>> byPriority = [];

    /// <summary>Of addresses that come twice the first counts, in whichever locality and priority, as in Envoy: one endpoint has one state.</summary>
    readonly HashSet<SocketAddressV4> seen = [];

    /// <param name="previous">The same cluster before the change: what is known of an endpoint is kept.</param>
    public Endpoint[] Translate(ClusterLoadAssignment? assignment, LoadBalancing.Cluster? previous)
    {
        var states = new Dictionary<SocketAddressV4, EndpointState>();
        foreach (var endpoint in previous?.All.Endpoints ?? [])
        {
            states.TryAdd(endpoint.Address, endpoint.State);
        }

        foreach (var locality in assignment?.Endpoints ?? [])
        {
            Add(locality, address => states.TryGetValue(address, out var state) ? state : new EndpointState(loops, previous is null ? long.MinValue / 2 : now));
        }

        if (byPriority.Values.Any(l => l.Sum(e => (double)e.Weight) > uint.MaxValue))
        {
            throw new ConfigException($"{owner}: load_balancing_weight: those of one priority come to more than {uint.MaxValue}");
        }

        // Those of the next priority stand in only when there is nobody else.
        return byPriority.Values.FirstOrDefault()?.ToArray() ?? [];
    }

    void Add(LocalityLbEndpoints locality, Func<SocketAddressV4, EndpointState> stateOf)
    {
        var members = new List<(SocketAddressV4 Address, LbEndpoint Message)>();
        foreach (var endpoint in locality.LbEndpoints)
        {
            if (endpoint.Endpoint is null || endpoint.LoadBalancingWeight == 0)
            {
                throw new ConfigException($"{owner}: lb_endpoints: {(endpoint.Endpoint is null ? "endpoint is missing" : "load_balancing_weight must be at least 1")}");
            }

            reading.NotCarriedOut($"{owner}: endpoint.hostname", endpoint.Endpoint.Hostname.Length > 0);
            reading.NotCarriedOut($"{owner}: health_status DEGRADED, served as healthy,", endpoint.HealthStatus == HealthStatus.Degraded);
            var address = Common.Address(owner, endpoint.Endpoint.Address);
            if (!seen.Add(address))
            {
                reading.NotCarriedOut($"{owner}: endpoint {address}, which an earlier one is,", true);
            }
            else if (endpoint.HealthStatus is not (HealthStatus.Unhealthy or HealthStatus.Draining or HealthStatus.Timeout))
            {
                members.Add((address, endpoint));
            }
        }

        var sum = members.Sum(m => (double)Weight(m.Message));
        foreach (var (address, message) in members)
        {
            // With weighted localities, the locality's share is divided among its members.
            var weight = cluster.CommonLbConfig?.LocalityWeightedLbConfig is null ? Weight(message)
                : (uint)Math.Clamp(Math.Round((locality.LoadBalancingWeight ?? 0) * 1000.0 * Weight(message) / sum), 1, uint.MaxValue);
            Add(locality.Priority, message, address, weight, stateOf(address));
        }
    }

    void Add(uint priority, LbEndpoint message, SocketAddressV4 address, uint weight, EndpointState state)
    {
        if (!byPriority.TryGetValue(priority, out var list))
        {
            byPriority[priority] = list = [];
        }

        IReadOnlyDictionary<string, string> labels = cluster.LbSubsetConfig is null
            ? FrozenDictionary<string, string>.Empty : Common.Metadata(message.Metadata, BalancerMetadata);
        list.Add(new Endpoint(address, scope(Common.Metadata(message.Metadata, IstioMetadata)), weight, labels, state));
    }

    static uint Weight(LbEndpoint endpoint) => endpoint.LoadBalancingWeight ?? 1;

    public static FrozenDictionary<string, EndpointSet> Subsets(XdsCluster.Types.LbSubsetConfig? config, Endpoint[] endpoints, BalancingOptions balancing)
    {
        var groups = new Dictionary<string, List<Endpoint>>();

        // Two selectors of the same keys choose the same endpoints.
        foreach (var selector in (config?.SubsetSelectors ?? []).DistinctBy(s => string.Join('\n', s.Keys.Distinct().Order(StringComparer.Ordinal))))
        {
            foreach (var endpoint in endpoints.Where(e => selector.Keys.All(e.Labels.ContainsKey)))
            {
                var key = SubsetKey.Of(selector.Keys.Distinct().Select(k => KeyValuePair.Create(k, endpoint.Labels[k])));
                if (!groups.TryGetValue(key, out var list))
                {
                    groups[key] = list = [];
                }

                list.Add(endpoint);
            }
        }

        return groups.ToFrozenDictionary(g => g.Key, g => new EndpointSet([.. g.Value], balancing));
    }
}
