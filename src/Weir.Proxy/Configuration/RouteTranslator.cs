using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Matching;
using Weir.Proxy.Routing;
using XdsRoute = Envoy.Config.Route.V3.Route;
using XdsVirtualHost = Envoy.Config.Route.V3.VirtualHost;

namespace Weir.Proxy.Configuration;

/// <summary>Route tables from their messages. What is not understood is refused, or remarked on; never ignored.</summary>
sealed class RouteTranslator(ClusterTable clusters)
{
    /// <summary>Milliseconds; as Envoy has it.</summary>
    const int DefaultTimeout = 15_000;

    const string BalancerMetadata = "envoy.lb";

    public RouteTable Translate(RouteConfiguration configuration, Reading reading)
    {
        var seen = new HashSet<string>();
        return new RouteTable(configuration.Name, [.. configuration.VirtualHosts.Select(h => Host(h, seen, reading))], configuration.IgnorePortInHostMatching);
    }

    /// <param name="seen">Domains of the hosts before.</param>
    Routing.VirtualHost Host(XdsVirtualHost host, HashSet<string> seen, Reading reading)
    {
        var owner = $"virtual host {host.Name}";
        if (host.Domains.Count == 0 || host.Domains.Contains(""))
        {
            throw new ConfigException($"{owner}: domains: {(host.Domains.Count == 0 ? "there is none" : "one is empty")}");
        }

        foreach (var domain in host.Domains)
        {
            // The first host that has it keeps it.
            reading.NotCarriedOut($"{owner}: domains: {domain}, which an earlier one has,", !seen.Add(domain.ToLowerInvariant()));
        }

        return new Routing.VirtualHost(host.Name, host.Domains, [.. host.Routes.Select((r, i) => Route($"{owner}, route {(r.Name.Length > 0 ? r.Name : $"[{i}]")}", r, reading))]);
    }

    Routing.Route Route(string owner, XdsRoute route, Reading reading)
    {
        var match = route.Match ?? throw new ConfigException($"{owner}: match is missing");
        var action = route.Route_;
        reading.NotCarriedOut($"{owner}: metadata", route.Metadata is not null);
        var (kind, path, length) = Path(owner, match);
        var targets = Targets(owner, route);
        return new Routing.Route
        {
            Name = route.Name,
            PathKind = kind,
            Path = path,
            PathLength = length,
            IsConnect = match.PathSpecifierCase == RouteMatch.PathSpecifierOneofCase.ConnectMatcher,
            TerminatesConnect = action?.UpgradeConfigs.Any(u => IsConnect(owner, u)) == true,
            Upgrades = Upgrades(owner, action),
            Headers = [.. match.Headers.Select((h, i) => MatcherTranslator.Header($"{owner}: match.headers[{i}]", h))],
            Query = [.. match.QueryParameters.Select((q, i) => MatcherTranslator.Query($"{owner}: match.query_parameters[{i}]", q))],
            Rules = HeaderRuleTranslator.Translate(owner, route.RequestHeadersToAdd, route.RequestHeadersToRemove, route.ResponseHeadersToAdd, route.ResponseHeadersToRemove),
            Targets = [.. targets.Select(t => t.Target)],
            Schedule = targets.Count > 1 ? new WeightedSchedule([.. targets.Select(t => t.Weight)]) : null,
            Direct = DirectReplyTranslator.Translate(owner, route),
            PrefixRewrite = Encoding.ASCII.GetBytes(UrlParts.Path($"{owner}: prefix_rewrite", action?.PrefixRewrite ?? "")),
            HostRewrite = Encoding.ASCII.GetBytes(UrlParts.Authority($"{owner}: host_rewrite_literal", action?.HostRewriteLiteral ?? "")),
            TimeoutMilliseconds = Common.Milliseconds(action?.Timeout, DefaultTimeout),
            IdleMilliseconds = action?.IdleTimeout is { } idle ? Common.Milliseconds(idle, 0) : null,
            HashPolicies = [.. (action?.HashPolicy ?? []).Select((p, i) => Hash($"{owner}: hash_policy[{i}]", p))],
        };
    }

    static (PathMatchKind Kind, StringMatch Path, int Length) Path(string owner, RouteMatch match)
    {
        // Regular expressions say for themselves whether case matters to them.
        var ignoreCase = match.CaseSensitive == false;
        switch (match.PathSpecifierCase)
        {
            case RouteMatch.PathSpecifierOneofCase.Prefix:
                return (PathMatchKind.Prefix, StringMatch.Prefix(match.Prefix, ignoreCase), Encoding.UTF8.GetByteCount(match.Prefix));
            case RouteMatch.PathSpecifierOneofCase.PathSeparatedPrefix:
                var prefix = match.PathSeparatedPrefix;
                return prefix.Length > 1 && prefix[^1] != '/' && !prefix.AsSpan().ContainsAny('?', '#')
                    ? (PathMatchKind.SegmentPrefix, StringMatch.Prefix(prefix, ignoreCase), Encoding.UTF8.GetByteCount(prefix))
                    : throw new ConfigException($"{owner}: match.path_separated_prefix: \"{prefix}\" must not end with / nor have a ? or # in it");
            case RouteMatch.PathSpecifierOneofCase.Path:
                return (PathMatchKind.Exact, StringMatch.Exact(match.Path, ignoreCase), Encoding.UTF8.GetByteCount(match.Path));
            case RouteMatch.PathSpecifierOneofCase.SafeRegex:
                return (PathMatchKind.Regex, MatcherTranslator.Regex($"{owner}: match.safe_regex", match.SafeRegex), 0);
            case RouteMatch.PathSpecifierOneofCase.ConnectMatcher:
                return (PathMatchKind.Prefix, StringMatch.Any, 0);
            default:
                throw new ConfigException($"{owner}: match: it has no path matcher that is supported");
        }
    }

    static Dictionary<string, bool> Upgrades(string owner, RouteAction? action)
    {
        var result = new Dictionary<string, bool>();
        foreach (var upgrade in action?.UpgradeConfigs ?? [])
        {
            if (upgrade.UpgradeType.Length == 0 || !result.TryAdd(upgrade.UpgradeType.ToLowerInvariant(), upgrade.Enabled != false))
            {
                throw new ConfigException($"{owner}: upgrade_configs: upgrade_type \"{upgrade.UpgradeType}\" is empty or there twice");
            }
        }

        return result;
    }

    static bool IsConnect(string owner, RouteAction.Types.UpgradeConfig upgrade)
    {
        if (upgrade.ConnectConfig?.AllowPost == true)
        {
            throw new ConfigException($"{owner}: upgrade_configs: connect_config.allow_post is not supported");
        }

        var isConnect = upgrade.UpgradeType.Equals("CONNECT", StringComparison.OrdinalIgnoreCase);
        return isConnect || upgrade.ConnectConfig is null ? isConnect && upgrade.ConnectConfig is not null
            : throw new ConfigException($"{owner}: upgrade_configs: connect_config is for CONNECT, not for {upgrade.UpgradeType}");
    }

    List<(WeightedTarget Target, uint Weight)> Targets(string owner, XdsRoute route)
    {
        var action = route.Route_;
        if (action is null)
        {
            return route.ActionCase is XdsRoute.ActionOneofCase.Redirect or XdsRoute.ActionOneofCase.DirectResponse
                ? [] : throw new ConfigException($"{owner}: the action is not supported");
        }

        if (action.RegexRewrite is not null)
        {
            throw new ConfigException($"{owner}: regex_rewrite is not supported");
        }

        var labels = Common.Metadata(action.MetadataMatch, BalancerMetadata);
        string? Subset(Metadata? own)
        {
            var all = labels.Concat(Common.Metadata(own, BalancerMetadata)).GroupBy(l => l.Key).ToDictionary(g => g.Key, g => g.Last().Value);
            return all.Count == 0 ? null : SubsetKey.Of(all);
        }

        if (action.ClusterSpecifierCase == RouteAction.ClusterSpecifierOneofCase.Cluster)
        {
            return [(new WeightedTarget(clusters.Slot(Common.Name($"{owner}: cluster", action.Cluster)), Filters.HeaderRules.None, Subset(null)), 1)];
        }

        var weighted = (action.WeightedClusters?.Clusters ?? []).Where(c => (c.Weight ?? 0) > 0).Select((c, i) => (new WeightedTarget(
            clusters.Slot(Common.Name($"{owner}: weighted_clusters.clusters.name", c.Name)),
            HeaderRuleTranslator.Translate($"{owner}, cluster {c.Name}", c.RequestHeadersToAdd, c.RequestHeadersToRemove, c.ResponseHeadersToAdd, c.ResponseHeadersToRemove),
            Subset(c.MetadataMatch)), c.Weight!.Value)).ToList();
        return weighted.Count > 0 ? weighted : throw new ConfigException($"{owner}: no cluster has a weight");
    }

    static HashPolicy Hash(string field, RouteAction.Types.HashPolicy policy)
    {
        switch (policy.PolicySpecifierCase)
        {
            case RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.Header:
                var header = Common.Name($"{field}.header.header_name", policy.Header.HeaderName);
                return new(HashSource.Header, Encoding.ASCII.GetBytes(header.ToLowerInvariant()), null, "", policy.Terminal);
            case RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.Cookie:
                var cookie = Common.Name($"{field}.cookie.name", policy.Cookie.Name);
                return cookie.All(c => c < 0x80 && Http1.HeadParser.IsToken((byte)c)) && !policy.Cookie.Path.Any(c => c is < ' ' or ';' or > '~')
                    ? new(HashSource.Cookie, Encoding.ASCII.GetBytes(cookie), policy.Cookie.Ttl?.Seconds, policy.Cookie.Path, policy.Terminal)
                    : throw new ConfigException($"{field}.cookie: name and path must be such as a cookie can have");
            case RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.ConnectionProperties when policy.ConnectionProperties.SourceIp:
                return new(HashSource.SourceAddress, [], null, "", policy.Terminal);
            case RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.QueryParameter:
                return new(HashSource.Query, Encoding.ASCII.GetBytes(Common.Name($"{field}.query_parameter.name", policy.QueryParameter.Name)), null, "", policy.Terminal);
            default:
                throw new ConfigException($"{field}: the policy is not supported");
        }
    }
}
