using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Weir.Proxy.Filters;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Routing;
using XdsRoute = Envoy.Config.Route.V3.Route;

namespace Weir.Proxy.Configuration;

/// <summary>Route tables from their messages. What is not understood is refused, never ignored.</summary>
sealed class RouteTranslator(ClusterTable clusters)
{
    const string BalancerMetadata = "envoy.lb";

    public RouteTable Translate(RouteConfiguration configuration) => new(
        configuration.Name,
        configuration.VirtualHosts.Select(h => new Routing.VirtualHost(h.Name, h.Domains, [.. h.Routes.Select(r => Route($"virtual host {h.Name}, route {r.Name}", r))])),
        configuration.IgnorePortInHostMatching);

    Routing.Route Route(string owner, XdsRoute route)
    {
        var match = route.Match ?? throw new ConfigException($"{owner}: match is missing");
        var ignoreCase = match.CaseSensitive == false;
        var (kind, path, length) = match.PathSpecifierCase switch
        {
            RouteMatch.PathSpecifierOneofCase.Prefix => (PathMatchKind.Prefix, StringMatch.Prefix(match.Prefix, ignoreCase), match.Prefix.Length),
            RouteMatch.PathSpecifierOneofCase.PathSeparatedPrefix =>
                (PathMatchKind.SegmentPrefix, StringMatch.Prefix(match.PathSeparatedPrefix, ignoreCase), match.PathSeparatedPrefix.Length),
            RouteMatch.PathSpecifierOneofCase.Path => (PathMatchKind.Exact, StringMatch.Exact(match.Path, ignoreCase), match.Path.Length),
            RouteMatch.PathSpecifierOneofCase.SafeRegex => (PathMatchKind.Regex, Regex(owner, match.SafeRegex.Regex, ignoreCase), 0),
            RouteMatch.PathSpecifierOneofCase.ConnectMatcher => (PathMatchKind.Prefix, StringMatch.Any, 0),
            _ => throw new ConfigException($"{owner}: the path matcher is not supported"),
        };
        var action = route.Route_;
        var targets = Targets(owner, route);
        var upgrades = action?.UpgradeConfigs.ToDictionary(u => u.UpgradeType.ToLowerInvariant(), u => u.Enabled != false) ?? [];
        return new Routing.Route
        {
            Name = route.Name,
            PathKind = kind,
            Path = path,
            PathLength = length,
            IsConnect = match.PathSpecifierCase == RouteMatch.PathSpecifierOneofCase.ConnectMatcher,
            TerminatesConnect = action?.UpgradeConfigs.Any(u => u.UpgradeType.Equals("CONNECT", StringComparison.OrdinalIgnoreCase) && u.ConnectConfig is not null) == true,
            Upgrades = upgrades,
            Headers = [.. match.Headers.Select(h => HeaderMatch(owner, h))],
            Query = [.. match.QueryParameters.Select(q => new QueryMatch(
                Encoding.ASCII.GetBytes(q.Name),
                q.QueryParameterMatchSpecifierCase == QueryParameterMatcher.QueryParameterMatchSpecifierOneofCase.StringMatch ? StringMatch.From(q.StringMatch) : StringMatch.Any))],
            Rules = new HeaderRules(route.RequestHeadersToAdd, route.RequestHeadersToRemove, route.ResponseHeadersToAdd, route.ResponseHeadersToRemove),
            Targets = [.. targets.Select(t => t.Target)],
            Schedule = targets.Count > 1 ? new WeightedSchedule([.. targets.Select(t => t.Weight)]) : null,
            Direct = Direct(owner, route),
            PrefixRewrite = Encoding.ASCII.GetBytes(action?.PrefixRewrite ?? ""),
            HostRewrite = Encoding.ASCII.GetBytes(action?.HostRewriteLiteral ?? ""),
            TimeoutMilliseconds = Common.Milliseconds(action?.Timeout, 0),
            IdleMilliseconds = action?.IdleTimeout is { } idle ? Common.Milliseconds(idle, 0) : null,
            HashPolicies = [.. (action?.HashPolicy ?? []).Select(p => Hash(owner, p))],
        };
    }

    static StringMatch Regex(string owner, string text, bool ignoreCase)
    {
        try
        {
            return StringMatch.Regex(text, ignoreCase);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new ConfigException($"{owner}: safe_regex: {e.Message}");
        }
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
            return [(new WeightedTarget(clusters.Slot(action.Cluster), HeaderRules.None, Subset(null)), 1)];
        }

        var weighted = (action.WeightedClusters?.Clusters ?? []).Where(c => (c.Weight ?? 0) > 0).Select(c => (new WeightedTarget(
            clusters.Slot(c.Name),
            new HeaderRules(c.RequestHeadersToAdd, c.RequestHeadersToRemove, c.ResponseHeadersToAdd, c.ResponseHeadersToRemove),
            Subset(c.MetadataMatch)), c.Weight!.Value)).ToList();
        return weighted.Count > 0 ? weighted : throw new ConfigException($"{owner}: no cluster has a weight");
    }

    static HeaderMatch HeaderMatch(string owner, HeaderMatcher matcher) => matcher.Name.Length == 0
        ? throw new ConfigException($"{owner}: a header matcher has no name")
        : new(
            Encoding.ASCII.GetBytes(matcher.Name.ToLowerInvariant()),
            matcher.HeaderMatchSpecifierCase == HeaderMatcher.HeaderMatchSpecifierOneofCase.StringMatch ? StringMatch.From(matcher.StringMatch) : StringMatch.Any,
            matcher.InvertMatch != (matcher.HeaderMatchSpecifierCase == HeaderMatcher.HeaderMatchSpecifierOneofCase.PresentMatch && !matcher.PresentMatch),
            matcher.TreatMissingHeaderAsEmpty);

    static HashPolicy Hash(string owner, RouteAction.Types.HashPolicy policy) => policy.PolicySpecifierCase switch
    {
        RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.Header =>
            new(HashSource.Header, Encoding.ASCII.GetBytes(policy.Header.HeaderName.ToLowerInvariant()), null, "", policy.Terminal),
        RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.Cookie =>
            new(HashSource.Cookie, Encoding.ASCII.GetBytes(policy.Cookie.Name), policy.Cookie.Ttl?.Seconds, policy.Cookie.Path, policy.Terminal),
        RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.ConnectionProperties when policy.ConnectionProperties.SourceIp =>
            new(HashSource.SourceAddress, [], null, "", policy.Terminal),
        RouteAction.Types.HashPolicy.PolicySpecifierOneofCase.QueryParameter =>
            new(HashSource.Query, Encoding.ASCII.GetBytes(policy.QueryParameter.Name), null, "", policy.Terminal),
        _ => throw new ConfigException($"{owner}: hash_policy: the policy is not supported"),
    };

    static DirectReply? Direct(string owner, XdsRoute route)
    {
        if (route.DirectResponse is { } direct)
        {
            return direct.Status is >= 200 and < 600 ? new DirectReply((int)direct.Status, Common.Bytes(direct.Body, "direct_response.body"), null)
                : throw new ConfigException($"{owner}: direct_response.status: {direct.Status} is not 200 to 599");
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
}
