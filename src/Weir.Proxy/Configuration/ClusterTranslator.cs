using System.Collections.Frozen;
using System.Text;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Extensions.LoadBalancingPolicies.LeastRequest.V3;
using Envoy.Extensions.LoadBalancingPolicies.Maglev.V3;
using Envoy.Extensions.LoadBalancingPolicies.RingHash.V3;
using Envoy.Extensions.LoadBalancingPolicies.RoundRobin.V3;
using Envoy.Extensions.TransportSockets.ProxyProtocol.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;
using Weir.Xds;
using Endpoint = Weir.Proxy.LoadBalancing.Endpoint;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Configuration;

/// <summary>Clusters from their messages. What is not understood is refused, never ignored.</summary>
sealed class ClusterTranslator(Translation translation)
{
    const int DefaultConnectTimeout = 10_000;

    /// <summary>Shorter than the idle limits of common servers, so that it is this side that closes.</summary>
    const int DefaultIdle = 55_000;

    const string IstioMetadata = "istio";
    const string BalancerMetadata = "envoy.lb";

    /// <param name="previous">The same cluster before the change: its counters and connections are kept.</param>
    /// <param name="now">Milliseconds of the loops' clock: when new endpoints are taken to have come.</param>
    public LoadBalancing.Cluster Translate(
        XdsCluster cluster, ClusterLoadAssignment? assignment, LoadBalancing.Cluster? previous, long now, HashSet<string> secrets)
    {
        var owner = $"cluster {cluster.Name}";
        if (cluster.Type is not (XdsCluster.Types.DiscoveryType.Eds or XdsCluster.Types.DiscoveryType.Static))
        {
            throw new ConfigException($"{owner}: type {cluster.Type} is not supported");
        }

        if (cluster.CommonLbConfig?.HealthyPanicThreshold?.Value > 0)
        {
            throw new ConfigException($"{owner}: common_lb_config.healthy_panic_threshold is not supported: endpoints that are not healthy are never used");
        }

        var service = Common.Metadata(cluster.Metadata, IstioMetadata);
        var isInbound = cluster.Name.StartsWith("inbound|", StringComparison.Ordinal);
        var balancing = Balancing(owner, cluster);
        var endpoints = Endpoints(owner, cluster, assignment ?? cluster.LoadAssignment, previous, now, isInbound, service);
        var (tls, proxyProtocol) = Transport(owner, cluster.TransportSocket, secrets);
        var (idle, maximumRequests) = Protocol(owner, cluster);
        var subsets = cluster.LbSubsetConfig;
        var defaultLabels = subsets?.DefaultSubset?.Fields.Select(f => KeyValuePair.Create(f.Key, Common.TextOf(f.Value) ?? "")).ToList();
        return new LoadBalancing.Cluster
        {
            Name = cluster.Name,
            NameBytes = Encoding.UTF8.GetBytes(cluster.Name),
            Balancing = balancing,
            All = new EndpointSet(endpoints, balancing),
            Subsets = Subsets(subsets, endpoints, balancing),
            Fallback = subsets is null ? SubsetFallback.Any : subsets.FallbackPolicy switch
            {
                XdsCluster.Types.LbSubsetConfig.Types.LbSubsetFallbackPolicy.AnyEndpoint => SubsetFallback.Any,
                XdsCluster.Types.LbSubsetConfig.Types.LbSubsetFallbackPolicy.DefaultSubset => SubsetFallback.Default,
                _ => SubsetFallback.None,
            },
            DefaultSubset = defaultLabels is null ? null : new EndpointSet([.. endpoints.Where(e => defaultLabels.TrueForAll(l => e.Labels.GetValueOrDefault(l.Key) == l.Value))], balancing),
            ConnectTimeoutMilliseconds = Common.Milliseconds(cluster.ConnectTimeout, DefaultConnectTimeout),
            IdleMilliseconds = idle,
            MaximumRequestsPerConnection = maximumRequests,
            Limits = Limits(cluster.CircuitBreakers).PerLoop(translation.Loops),
            Tls = tls == previous?.Tls ? previous?.Tls : tls,
            ProxyProtocolVersion = proxyProtocol,
            Scope = Scope(isInbound, service, []),
            Loads = previous?.Loads ?? [.. Enumerable.Range(0, translation.Loops).Select(_ => new ClusterLoad())],
        };
    }

    Endpoint[] Endpoints(
        string owner, XdsCluster cluster, ClusterLoadAssignment? assignment, LoadBalancing.Cluster? previous, long now, bool isInbound, Dictionary<string, string> service)
    {
        var states = previous?.All.Endpoints.ToDictionary(e => e.Address, e => e.State) ?? [];
        var byPriority = new SortedDictionary<uint, List<Endpoint>>();
        foreach (var locality in assignment?.Endpoints ?? [])
        {
            var members = locality.LbEndpoints.Where(e => e.HealthStatus is not (HealthStatus.Unhealthy or HealthStatus.Draining or HealthStatus.Timeout)).ToList();
            var sum = members.Sum(e => (double)Math.Max(e.LoadBalancingWeight ?? 1, 1));
            foreach (var endpoint in members)
            {
                var weight = Math.Max(endpoint.LoadBalancingWeight ?? 1, 1);
                if (cluster.CommonLbConfig?.LocalityWeightedLbConfig is not null)
                {
                    // The locality's share, divided among its members.
                    weight = (uint)Math.Max(1, Math.Round((locality.LoadBalancingWeight ?? 0) * 1000.0 * weight / sum));
                }

                var address = Common.Address(owner, endpoint.Endpoint?.Address);
                if (!states.TryGetValue(address, out var state))
                {
                    states[address] = state = new EndpointState(translation.Loops, previous is null ? long.MinValue / 2 : now);
                }

                if (!byPriority.TryGetValue(locality.Priority, out var list))
                {
                    byPriority[locality.Priority] = list = [];
                }

                IReadOnlyDictionary<string, string> labels = cluster.LbSubsetConfig is null
                    ? FrozenDictionary<string, string>.Empty : Common.Metadata(endpoint.Metadata, BalancerMetadata);
                list.Add(new Endpoint(address, Scope(isInbound, service, Common.Metadata(endpoint.Metadata, IstioMetadata)), weight, labels, state));
            }
        }

        // Those of the next priority stand in only when there is nobody else.
        return byPriority.Values.FirstOrDefault()?.ToArray() ?? [];
    }

    static FrozenDictionary<string, EndpointSet> Subsets(XdsCluster.Types.LbSubsetConfig? config, Endpoint[] endpoints, BalancingOptions balancing)
    {
        var groups = new Dictionary<string, List<Endpoint>>();
        foreach (var selector in config?.SubsetSelectors ?? [])
        {
            foreach (var endpoint in endpoints.Where(e => selector.Keys.All(e.Labels.ContainsKey)))
            {
                var key = SubsetKey.Of(selector.Keys.Select(k => KeyValuePair.Create(k, endpoint.Labels[k])));
                if (!groups.TryGetValue(key, out var list))
                {
                    groups[key] = list = [];
                }

                list.Add(endpoint);
            }
        }

        return groups.ToFrozenDictionary(g => g.Key, g => new EndpointSet([.. g.Value], balancing));
    }

    static ClusterLimits Limits(CircuitBreakers? breakers)
    {
        var thresholds = breakers?.Thresholds.FirstOrDefault(t => t.Priority == RoutingPriority.Default);
        static int Of(uint? limit) => limit is null or > int.MaxValue ? int.MaxValue : (int)limit;
        return thresholds is null ? ClusterLimits.None
            : new ClusterLimits(Math.Max(Of(thresholds.MaxConnections), 1), Of(thresholds.MaxPendingRequests), Of(thresholds.MaxRequests));
    }

    static (int Idle, int MaximumRequests) Protocol(string owner, XdsCluster cluster)
    {
        var common = cluster.CommonHttpProtocolOptions;
        var requests = cluster.MaxRequestsPerConnection;
        foreach (var (name, any) in cluster.TypedExtensionProtocolOptions)
        {
            if (any.TypeUrl != XdsTypes.HttpProtocolOptions)
            {
                throw new ConfigException($"{owner}: typed_extension_protocol_options {name} is not supported");
            }

            var options = Envoy.Extensions.Upstreams.Http.V3.HttpProtocolOptions.Parser.ParseFrom(any.Value);
            common = options.CommonHttpProtocolOptions ?? common;
            requests = common?.MaxRequestsPerConnection ?? requests;
        }

        Common.Check(owner, common);
        var idle = Common.Milliseconds(common?.IdleTimeout, DefaultIdle);
        return (idle == 0 ? int.MaxValue : idle, (int)Math.Min(requests ?? 0, int.MaxValue));
    }

    (TlsClient? Tls, int ProxyProtocol) Transport(string owner, TransportSocket? socket, HashSet<string> secrets)
    {
        switch (socket?.TypedConfig?.TypeUrl)
        {
            case null or XdsTypes.RawBuffer:
                return (null, 0);
            case XdsTypes.UpstreamTls:
                return (new TlsTranslator(translation, owner, secrets).Client(UpstreamTlsContext.Parser.ParseFrom(socket.TypedConfig.Value)), 0);
            case XdsTypes.UpstreamProxyProtocol:
                var outer = ProxyProtocolUpstreamTransport.Parser.ParseFrom(socket.TypedConfig.Value);
                var (tls, nested) = Transport(owner, outer.TransportSocket, secrets);
                return nested > 0 ? throw new ConfigException($"{owner}: a PROXY protocol within another is not supported")
                    : (tls, outer.Config?.Version == ProxyProtocolConfig.Types.Version.V2 ? 2 : 1);
            case var other:
                throw new ConfigException($"{owner}: transport socket {other} is not supported");
        }
    }

    static BalancingOptions Balancing(string owner, XdsCluster cluster)
    {
        if (cluster.LoadBalancingPolicy is { Policies.Count: > 0 } policies)
        {
            // The first that is known, as the API has it.
            return policies.Policies.Select(p => FromExtension(p.TypedExtensionConfig)).FirstOrDefault(o => o is not null)
                ?? throw new ConfigException($"{owner}: load_balancing_policy: none of {string.Join(", ", policies.Policies.Select(p => p.TypedExtensionConfig?.TypedConfig?.TypeUrl))} is supported");
        }

        var slow = cluster.RoundRobinLbConfig?.SlowStartConfig ?? cluster.LeastRequestLbConfig?.SlowStartConfig;
        var options = cluster.LbPolicy switch
        {
            XdsCluster.Types.LbPolicy.RoundRobin => new BalancingOptions(BalancingPolicy.RoundRobin),
            XdsCluster.Types.LbPolicy.LeastRequest => new BalancingOptions(
                BalancingPolicy.LeastRequest, Choices(cluster.LeastRequestLbConfig?.ChoiceCount), cluster.LeastRequestLbConfig?.ActiveRequestBias?.DefaultValue ?? 1),
            XdsCluster.Types.LbPolicy.Random => new BalancingOptions(BalancingPolicy.Random),
            XdsCluster.Types.LbPolicy.RingHash => Ring(
                owner, cluster.RingHashLbConfig?.MinimumRingSize, cluster.RingHashLbConfig?.MaximumRingSize,
                cluster.RingHashLbConfig?.HashFunction == XdsCluster.Types.RingHashLbConfig.Types.HashFunction.MurmurHash2),
            XdsCluster.Types.LbPolicy.Maglev => Maglev(owner, cluster.MaglevLbConfig?.TableSize),
            var other => throw new ConfigException($"{owner}: load balancing policy {other} is not supported"),
        };
        return slow is null ? options
            : WithSlowStart(options, slow.SlowStartWindow, slow.Aggression?.DefaultValue, slow.MinWeightPercent?.Value);
    }

    static BalancingOptions? FromExtension(TypedExtensionConfig? extension)
    {
        var value = extension?.TypedConfig?.Value;
        switch (extension?.TypedConfig?.TypeUrl)
        {
            case XdsTypes.RoundRobin:
                var turns = RoundRobin.Parser.ParseFrom(value).SlowStartConfig;
                return WithSlowStart(new BalancingOptions(BalancingPolicy.RoundRobin), turns?.SlowStartWindow, turns?.Aggression?.DefaultValue, turns?.MinWeightPercent?.Value);
            case XdsTypes.LeastRequest:
                var least = LeastRequest.Parser.ParseFrom(value);
                return WithSlowStart(
                    new BalancingOptions(BalancingPolicy.LeastRequest, Choices(least.ChoiceCount), least.ActiveRequestBias?.DefaultValue ?? 1),
                    least.SlowStartConfig?.SlowStartWindow, least.SlowStartConfig?.Aggression?.DefaultValue, least.SlowStartConfig?.MinWeightPercent?.Value);
            case XdsTypes.RandomPolicy:
                return new BalancingOptions(BalancingPolicy.Random);
            case XdsTypes.PeakEwma:
                return new BalancingOptions(BalancingPolicy.PeakEwma, DecayMilliseconds: Math.Max(1, Common.Milliseconds(Envoy.Extensions.LoadBalancingPolicies.PeakEwma.V3Alpha.PeakEwma.Parser.ParseFrom(value).DecayTime, 10_000)));
            case XdsTypes.RingHash:
                var ring = RingHash.Parser.ParseFrom(value);
                return Ring(extension.Name, ring.MinimumRingSize, ring.MaximumRingSize, ring.HashFunction == RingHash.Types.HashFunction.MurmurHash2);
            case XdsTypes.Maglev:
                return Maglev(extension.Name, Envoy.Extensions.LoadBalancingPolicies.Maglev.V3.Maglev.Parser.ParseFrom(value).TableSize);
            default:
                return null;
        }
    }

    static BalancingOptions WithSlowStart(BalancingOptions options, Google.Protobuf.WellKnownTypes.Duration? window, double? aggression, double? minimumPercent) =>
        window is null ? options : options with
        {
            SlowStartMilliseconds = Common.Milliseconds(window, 0),
            Aggression = aggression is > 0 ? aggression.Value : 1,
            MinimumWeight = Math.Clamp((minimumPercent ?? 10) / 100, 0, 1),
        };

    static int Choices(uint? count) => (int)Math.Clamp(count ?? 2, 2, 64);

    static BalancingOptions Ring(string owner, ulong? minimum, ulong? maximum, bool isMurmur)
    {
        const ulong Largest = 8 * 1024 * 1024;
        if (isMurmur)
        {
            throw new ConfigException($"{owner}: ring hash: MURMUR_HASH_2 is not supported, XX_HASH is");
        }

        var (low, high) = (minimum ?? 1024, maximum ?? Largest);
        return low <= high && high is > 0 and <= Largest ? new BalancingOptions(BalancingPolicy.RingHash, MinimumRing: low, MaximumRing: high)
            : throw new ConfigException($"{owner}: ring hash: sizes must be 1 to {Largest}, the minimum not above the maximum");
    }

    static BalancingOptions Maglev(string owner, ulong? size)
    {
        var wanted = size ?? MaglevTable.DefaultSize;
        return wanted is > 1 and <= 5_000_011 && IsPrime(wanted) ? new BalancingOptions(BalancingPolicy.Maglev, MaglevSize: (int)wanted)
            : throw new ConfigException($"{owner}: maglev: table_size {wanted} is not a prime of at most 5000011");
    }

    static bool IsPrime(ulong number)
    {
        for (ulong divisor = 2; divisor * divisor <= number; divisor++)
        {
            if (number % divisor == 0)
            {
                return false;
            }
        }

        return number > 1;
    }

    StatsScope Scope(bool isInbound, Dictionary<string, string> service, Dictionary<string, string> workload)
    {
        var self = translation.Self;
        static string Of(Dictionary<string, string> from, string name) => from.TryGetValue(name, out var value) && value.Length > 0 ? value : "unknown";
        var labels = isInbound
            ? new StatsLabels("destination", "unknown", "unknown", "unknown", "unknown",
                self.Workload, self.Namespace, self.App, self.Version, Of(service, "host"), Of(service, "name"), Of(service, "namespace"))
            : new StatsLabels("source", self.Workload, self.Namespace, self.App, self.Version,
                Of(workload, "workload"), Of(workload, "namespace"), Of(workload, "app"), Of(workload, "version"),
                Of(service, "host"), Of(service, "name"), Of(service, "namespace"));
        return translation.Stats.Get(labels);
    }
}
