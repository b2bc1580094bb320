using System.Text;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Extensions.TransportSockets.ProxyProtocol.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;
using Weir.Xds;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;
using XdsSubsets = Envoy.Config.Cluster.V3.Cluster.Types.LbSubsetConfig;

namespace Weir.Proxy.Configuration;

/// <summary>Clusters from their messages. What is not understood is refused, or remarked on; never ignored.</summary>
sealed class ClusterTranslator(Translation translation)
{
    const int DefaultConnectTimeout = 10_000;
    const string IstioMetadata = "istio";

    /// <param name="previous">The same cluster before the change: its counters and connections are kept.</param>
    /// <param name="now">Milliseconds of the loops' clock: when new endpoints are taken to have come.</param>
    public LoadBalancing.Cluster Translate(XdsCluster cluster, ClusterLoadAssignment? assignment, LoadBalancing.Cluster? previous, long now, Reading reading)
    {
        var owner = $"cluster {cluster.Name}";
        Check(owner, cluster, reading);
        var service = Common.Metadata(cluster.Metadata, IstioMetadata);
        var isInbound = cluster.Name.StartsWith("inbound|", StringComparison.Ordinal);
        var balancing = BalancingTranslator.Translate(owner, cluster, reading);
        var endpoints = new EndpointTranslator(owner, cluster, translation.Loops, now, workload => Scope(isInbound, service, workload), reading)
            .Translate(assignment ?? cluster.LoadAssignment, previous);
        var protocol = UpstreamProtocolTranslator.Translate(owner, cluster, reading);
        var (tls, proxyProtocol) = Transport(owner, cluster.TransportSocket, Alpn(protocol.Http.Protocol), reading);
        if (protocol.Http.Protocol == UpstreamProtocol.Alpn && tls is null)
        {
            throw new ConfigException($"{owner}: auto_config needs a transport socket that agrees on a protocol: TLS");
        }

        if (proxyProtocol > 0 && (protocol.Http.Protocol != UpstreamProtocol.Http1 || tls?.Context.Alpn.AsSpan().IndexOf("\u0002h2"u8) >= 0))
        {
            throw new ConfigException($"{owner}: transport_socket: the PROXY protocol names one client, and connections of HTTP/2 are shared by many");
        }

        var subsets = cluster.LbSubsetConfig;
        var defaultLabels = subsets?.DefaultSubset?.Fields.Select(f => KeyValuePair.Create(f.Key, Common.TextOf(f.Value) ?? "")).ToList();
        return new LoadBalancing.Cluster
        {
            Name = cluster.Name,
            NameBytes = Encoding.UTF8.GetBytes(cluster.Name),
            Balancing = balancing,
            All = new EndpointSet(endpoints, balancing),
            Subsets = EndpointTranslator.Subsets(subsets, endpoints, balancing),
            Fallback = subsets is null ? SubsetFallback.Any : subsets.FallbackPolicy switch
            {
                XdsSubsets.Types.LbSubsetFallbackPolicy.AnyEndpoint => SubsetFallback.Any,
                XdsSubsets.Types.LbSubsetFallbackPolicy.DefaultSubset => SubsetFallback.Default,
                _ => SubsetFallback.None,
            },
            DefaultSubset = defaultLabels is null ? null : new EndpointSet([.. endpoints.Where(e => defaultLabels.TrueForAll(l => e.Labels.GetValueOrDefault(l.Key) == l.Value))], balancing),
            ConnectTimeoutMilliseconds = Common.Milliseconds(cluster.ConnectTimeout, DefaultConnectTimeout),
            Http = protocol.Http,
            IdleMilliseconds = protocol.IdleMilliseconds,
            MaximumRequestsPerConnection = protocol.MaximumRequests,
            Limits = Limits(owner, cluster.CircuitBreakers, reading).PerLoop(translation.Loops),
            Tls = tls == previous?.Tls ? previous?.Tls : tls,
            ProxyProtocolVersion = proxyProtocol,
            Scope = Scope(isInbound, service, []),
            Loads = previous?.Loads ?? [.. Enumerable.Range(0, translation.Loops).Select(_ => new ClusterLoad())],
        };
    }

    static void Check(string owner, XdsCluster cluster, Reading reading)
    {
        if (cluster.Type is not (XdsCluster.Types.DiscoveryType.Eds or XdsCluster.Types.DiscoveryType.Static))
        {
            throw new ConfigException($"{owner}: type {cluster.Type} is not supported");
        }

        Common.CheckSource($"{owner}: eds_cluster_config.eds_config", cluster.EdsClusterConfig?.EdsConfig);
        if (cluster.ConnectTimeout is not null && Common.Milliseconds(cluster.ConnectTimeout, 0) == 0)
        {
            throw new ConfigException($"{owner}: connect_timeout must be more than 0");
        }

        if (cluster.CommonLbConfig?.HealthyPanicThreshold?.Value > 0)
        {
            throw new ConfigException($"{owner}: common_lb_config.healthy_panic_threshold is not supported: endpoints that are not healthy are never used");
        }

        reading.NotCarriedOut($"{owner}: eds_cluster_config of a cluster that is not of type EDS", cluster.EdsClusterConfig is not null && cluster.Type != XdsCluster.Types.DiscoveryType.Eds);
        var subsets = cluster.LbSubsetConfig;
        if (subsets?.FallbackPolicy == XdsSubsets.Types.LbSubsetFallbackPolicy.DefaultSubset && subsets.DefaultSubset is null)
        {
            throw new ConfigException($"{owner}: lb_subset_config.default_subset is missing");
        }

        reading.NotCarriedOut($"{owner}: lb_subset_config.default_subset without the fallback_policy for it",
            subsets?.DefaultSubset is not null && subsets.FallbackPolicy != XdsSubsets.Types.LbSubsetFallbackPolicy.DefaultSubset);
    }

    static ClusterLimits Limits(string owner, CircuitBreakers? breakers, Reading reading)
    {
        reading.NotCarriedOut($"{owner}: circuit_breakers.thresholds of priority HIGH", breakers?.Thresholds.Any(t => t.Priority != RoutingPriority.Default) == true);
        var thresholds = breakers?.Thresholds.FirstOrDefault(t => t.Priority == RoutingPriority.Default);
        reading.NotCarriedOut($"{owner}: circuit_breakers.thresholds.max_retries", thresholds?.MaxRetries is not null);
        static int Of(uint? limit) => limit is null or > int.MaxValue ? int.MaxValue : (int)limit;
        return thresholds is null ? ClusterLimits.None
            : new ClusterLimits(Math.Max(Of(thresholds.MaxConnections), 1), Of(thresholds.MaxPendingRequests), Of(thresholds.MaxRequests));
    }

    (TlsClient? Tls, int ProxyProtocol) Transport(string owner, TransportSocket? socket, string[] protocols, Reading reading)
    {
        switch (socket?.TypedConfig?.TypeUrl)
        {
            case null when socket is null:
            case XdsTypes.RawBuffer:
                return (null, 0);
            case XdsTypes.UpstreamTls:
                return (new TlsTranslator(translation, owner, reading).Client(UpstreamTlsContext.Parser.ParseFrom(socket.TypedConfig.Value), protocols), 0);
            case XdsTypes.UpstreamProxyProtocol:
                var outer = ProxyProtocolUpstreamTransport.Parser.ParseFrom(socket.TypedConfig.Value);
                var (tls, nested) = Transport(owner, outer.TransportSocket, protocols, reading);
                return nested > 0 ? throw new ConfigException($"{owner}: a PROXY protocol within another is not supported")
                    : (tls, outer.Config?.Version == ProxyProtocolConfig.Types.Version.V2 ? 2 : 1);
            case var other:
                throw new ConfigException($"{owner}: transport_socket: {other ?? socket?.Name} is not supported");
        }
    }

    /// <summary>Offered in the handshake where the configuration of TLS does not say.</summary>
    static string[] Alpn(UpstreamProtocol protocol) => protocol switch
    {
        UpstreamProtocol.Http2 => ["h2"],
        UpstreamProtocol.Alpn => ["h2", "http/1.1"],
        _ => [],
    };

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
