using System.Text;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Listener.V3;
using Envoy.Config.Route.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Extensions.Filters.Network.TcpProxy.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Filters;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Xds;

namespace Weir.Proxy.Configuration;

/// <summary>A resource that this proxy cannot carry out; the message is what the control plane is told.</summary>
public sealed class ConfigException(string message) : Exception(message);

/// <summary>xDS messages to the proxy's own, immutable configuration. What is not understood is refused, never ignored.</summary>
public sealed class ConfigTranslator(StatsRegistry stats, NodeIdentity self)
{
    public const int DefaultConnectTimeout = 10_000;
    const int DefaultStreamIdle = 300_000;
    const int DefaultHeadBytes = 60 * 1024;

    /// <summary>Where Istio keeps a service's and a workload's identity in metadata.</summary>
    const string IstioMetadata = "istio";

    public Weir.Proxy.LoadBalancing.Cluster Cluster(Envoy.Config.Cluster.V3.Cluster cluster, ClusterLoadAssignment? assignment)
    {
        if (cluster.Type is not (Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Eds or Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Static))
        {
            throw new ConfigException($"cluster {cluster.Name}: type {cluster.Type} is not supported");
        }

        var policy = cluster.LbPolicy switch
        {
            Envoy.Config.Cluster.V3.Cluster.Types.LbPolicy.RoundRobin => BalancingPolicy.RoundRobin,
            Envoy.Config.Cluster.V3.Cluster.Types.LbPolicy.LeastRequest => BalancingPolicy.LeastRequest,
            Envoy.Config.Cluster.V3.Cluster.Types.LbPolicy.Random => BalancingPolicy.Random,
            var other => throw new ConfigException($"cluster {cluster.Name}: load balancing policy {other} is not supported"),
        };
        var service = Metadata(cluster.Metadata);
        var isInbound = cluster.Name.StartsWith("inbound|", StringComparison.Ordinal);
        var endpoints = new List<Weir.Proxy.LoadBalancing.Endpoint>();
        foreach (var locality in (assignment ?? cluster.LoadAssignment)?.Endpoints ?? [])
        {
            foreach (var endpoint in locality.LbEndpoints)
            {
                if (endpoint.HealthStatus is HealthStatus.Unhealthy or HealthStatus.Draining or HealthStatus.Timeout)
                {
                    continue;
                }

                var address = Address(cluster.Name, endpoint.Endpoint?.Address);
                endpoints.Add(new Weir.Proxy.LoadBalancing.Endpoint(address, Scope(isInbound, service, Metadata(endpoint.Metadata))));
            }
        }

        return new Weir.Proxy.LoadBalancing.Cluster(
            cluster.Name, policy, [.. endpoints], Milliseconds(cluster.ConnectTimeout, DefaultConnectTimeout), Scope(isInbound, service, Metadata(null)));
    }

    public static RouteTable Routes(RouteConfiguration configuration) => new(
        configuration.Name,
        configuration.VirtualHosts.Select(h => new Weir.Proxy.Routing.VirtualHost(h.Name, h.Domains, [.. h.Routes.Select(r => Route(h.Name, r))])),
        configuration.IgnorePortInHostMatching);

    public ListenerConfiguration Listener(Envoy.Config.Listener.V3.Listener listener, Action<RouteConfiguration> onInlineRoutes)
    {
        if (listener.FilterChains.Count != 1 || listener.FilterChains[0].Filters.Count != 1)
        {
            throw new ConfigException($"listener {listener.Name}: exactly one filter chain with one filter is supported");
        }

        SocketAddressV4[] addresses = [.. listener.AdditionalAddresses.Select(a => a.Address).Prepend(listener.Address).Select(a => Address(listener.Name, a))];
        var config = listener.FilterChains[0].Filters[0].TypedConfig;
        var isInbound = listener.TrafficDirection == TrafficDirection.Inbound;
        switch (config.TypeUrl)
        {
            case XdsTypes.TcpProxy:
                var tcp = TcpProxy.Parser.ParseFrom(config.Value);
                return new ListenerConfiguration(listener.Name, addresses, ListenerKind.Tcp, "", tcp.Cluster, isInbound, false, false,
                    Milliseconds(tcp.IdleTimeout, 3600_000), 0);
            case XdsTypes.HttpConnectionManager:
                var http = HttpConnectionManager.Parser.ParseFrom(config.Value);
                foreach (var filter in http.HttpFilters)
                {
                    if (filter.TypedConfig?.TypeUrl != XdsTypes.Router)
                    {
                        throw new ConfigException($"listener {listener.Name}: HTTP filter {filter.Name} is not supported");
                    }
                }

                foreach (var log in http.AccessLog)
                {
                    if (log.TypedConfig?.TypeUrl != XdsTypes.FileAccessLog)
                    {
                        throw new ConfigException($"listener {listener.Name}: access log {log.Name} is not supported");
                    }
                }

                if (http.RouteSpecifierCase == HttpConnectionManager.RouteSpecifierOneofCase.RouteConfig)
                {
                    onInlineRoutes(http.RouteConfig);
                }

                var route = http.RouteSpecifierCase == HttpConnectionManager.RouteSpecifierOneofCase.Rds ? http.Rds.RouteConfigName : http.RouteConfig?.Name;
                return new ListenerConfiguration(listener.Name, addresses, ListenerKind.Http, route ?? "", "", isInbound,
                    self.IsGateway, http.AccessLog.Count > 0, Milliseconds(http.StreamIdleTimeout, DefaultStreamIdle),
                    (int)Math.Clamp((http.MaxRequestHeadersKb ?? 0) * 1024, 0, 8192 * 1024) is > 0 and var bytes ? bytes : DefaultHeadBytes);
            default:
                throw new ConfigException($"listener {listener.Name}: filter {config.TypeUrl} is not supported");
        }
    }

    static Weir.Proxy.Routing.Route Route(string host, Envoy.Config.Route.V3.Route route)
    {
        var match = route.Match;
        var ignoreCase = match.CaseSensitive == false;
        var (kind, path, length) = match.PathSpecifierCase switch
        {
            RouteMatch.PathSpecifierOneofCase.Prefix => (PathMatchKind.Prefix, StringMatch.Prefix(match.Prefix, ignoreCase), match.Prefix.Length),
            RouteMatch.PathSpecifierOneofCase.PathSeparatedPrefix =>
                (PathMatchKind.SegmentPrefix, StringMatch.Prefix(match.PathSeparatedPrefix, ignoreCase), match.PathSeparatedPrefix.Length),
            RouteMatch.PathSpecifierOneofCase.Path => (PathMatchKind.Exact, StringMatch.Exact(match.Path, ignoreCase), match.Path.Length),
            RouteMatch.PathSpecifierOneofCase.SafeRegex => (PathMatchKind.Regex, StringMatch.Regex(match.SafeRegex.Regex, ignoreCase), 0),
            _ => throw new ConfigException($"virtual host {host}, route {route.Name}: the path matcher is not supported"),
        };
        var rules = new HeaderRules(route.RequestHeadersToAdd, route.RequestHeadersToRemove, route.ResponseHeadersToAdd, route.ResponseHeadersToRemove);
        var action = route.Route_;
        var targets = Targets(host, route);
        return new Weir.Proxy.Routing.Route
        {
            Name = route.Name,
            PathKind = kind,
            Path = path,
            PathLength = length,
            Headers = [.. match.Headers.Select(HeaderMatch)],
            Query = [.. match.QueryParameters.Select(q => new QueryMatch(Encoding.ASCII.GetBytes(q.Name),
                q.QueryParameterMatchSpecifierCase == QueryParameterMatcher.QueryParameterMatchSpecifierOneofCase.StringMatch
                    ? StringMatch.From(q.StringMatch) : StringMatch.Any))],
            Rules = rules,
            Targets = [.. targets.Select(t => t.Target)],
            Schedule = targets.Count > 1 ? new WeightedSchedule([.. targets.Select(t => t.Weight)]) : null,
            Direct = Direct(route),
            PrefixRewrite = Encoding.ASCII.GetBytes(action?.PrefixRewrite ?? ""),
            HostRewrite = Encoding.ASCII.GetBytes(action?.HostRewriteLiteral ?? ""),
            TimeoutMilliseconds = Milliseconds(action?.Timeout, 0),
        };
    }

    static List<(WeightedTarget Target, uint Weight)> Targets(string host, Envoy.Config.Route.V3.Route route)
    {
        var action = route.Route_;
        if (action is null)
        {
            return route.ActionCase is Envoy.Config.Route.V3.Route.ActionOneofCase.Redirect or Envoy.Config.Route.V3.Route.ActionOneofCase.DirectResponse
                ? []
                : throw new ConfigException($"virtual host {host}, route {route.Name}: the action is not supported");
        }

        if (action.RegexRewrite is not null)
        {
            throw new ConfigException($"virtual host {host}, route {route.Name}: regex_rewrite is not supported");
        }

        if (action.ClusterSpecifierCase == RouteAction.ClusterSpecifierOneofCase.Cluster)
        {
            return [(new WeightedTarget(action.Cluster, HeaderRules.None), 1)];
        }

        var weighted = action.WeightedClusters.Clusters.Where(c => (c.Weight ?? 0) > 0).Select(c => (new WeightedTarget(c.Name,
            new HeaderRules(c.RequestHeadersToAdd, c.RequestHeadersToRemove, c.ResponseHeadersToAdd, c.ResponseHeadersToRemove)), c.Weight!.Value)).ToList();
        return weighted.Count > 0 ? weighted : throw new ConfigException($"virtual host {host}, route {route.Name}: no cluster has a weight");
    }

    static HeaderMatch HeaderMatch(HeaderMatcher matcher) => new(
        Encoding.ASCII.GetBytes(matcher.Name.ToLowerInvariant()),
        matcher.HeaderMatchSpecifierCase == HeaderMatcher.HeaderMatchSpecifierOneofCase.StringMatch ? StringMatch.From(matcher.StringMatch) : StringMatch.Any,
        matcher.InvertMatch != (matcher.HeaderMatchSpecifierCase == HeaderMatcher.HeaderMatchSpecifierOneofCase.PresentMatch && !matcher.PresentMatch),
        matcher.TreatMissingHeaderAsEmpty);

    static DirectReply? Direct(Envoy.Config.Route.V3.Route route)
    {
        if (route.DirectResponse is { } direct)
        {
            return new DirectReply((int)direct.Status, Encoding.UTF8.GetBytes(direct.Body?.InlineString ?? ""), null);
        }

        if (route.Redirect is not { } redirect)
        {
            return null;
        }

        var code = redirect.ResponseCode switch
        {
            RedirectAction.Types.RedirectResponseCode.Found => 302,
            RedirectAction.Types.RedirectResponseCode.SeeOther => 303,
            RedirectAction.Types.RedirectResponseCode.TemporaryRedirect => 307,
            RedirectAction.Types.RedirectResponseCode.PermanentRedirect => 308,
            _ => 301,
        };
        static string? Given(string text) => text.Length == 0 ? null : text;
        return new DirectReply(code, [], new RedirectRule(
            Given(redirect.SchemeRedirect), Given(redirect.HostRedirect), redirect.PortRedirect, Given(redirect.PathRedirect), Given(redirect.PrefixRewrite)));
    }

    StatsScope Scope(bool isInbound, IReadOnlyDictionary<string, string> service, IReadOnlyDictionary<string, string> workload)
    {
        string Of(IReadOnlyDictionary<string, string> from, string name) => from.TryGetValue(name, out var value) && value.Length > 0 ? value : "unknown";
        var labels = isInbound
            ? new StatsLabels("destination", "unknown", "unknown", "unknown", "unknown",
                self.Workload, self.Namespace, self.App, self.Version, Of(service, "host"), Of(service, "name"), Of(service, "namespace"))
            : new StatsLabels("source", self.Workload, self.Namespace, self.App, self.Version,
                Of(workload, "workload"), Of(workload, "namespace"), Of(workload, "app"), Of(workload, "version"),
                Of(service, "host"), Of(service, "name"), Of(service, "namespace"));
        return stats.Get(labels);
    }

    static Dictionary<string, string> Metadata(Metadata? metadata)
    {
        var result = new Dictionary<string, string>();
        if (metadata is not null && metadata.FilterMetadata.TryGetValue(IstioMetadata, out var fields))
        {
            foreach (var (name, value) in fields.Fields)
            {
                if (value.KindCase == Value.KindOneofCase.StringValue)
                {
                    result[name] = value.StringValue;
                }
            }
        }

        return result;
    }

    static SocketAddressV4 Address(string owner, Envoy.Config.Core.V3.Address? address)
    {
        if (address?.SocketAddress is not { } socket)
        {
            throw new ConfigException($"{owner}: only socket addresses are supported");
        }

        try
        {
            return SocketAddressV4.Parse(socket.Address, socket.PortValue);
        }
        catch (FormatException e)
        {
            throw new ConfigException($"{owner}: {e.Message}");
        }
    }

    static int Milliseconds(Duration? duration, int otherwise) =>
        duration is null ? otherwise : (int)Math.Clamp((duration.Seconds * 1000) + (duration.Nanos / 1_000_000), 0, int.MaxValue);
}
