using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Envoy.Type.Matcher.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Mesh;
using Weir.Mesh.Routes;
using Weir.Mesh.Workloads;
using Weir.ProxyConfig.Clusters;
using Route = Envoy.Config.Route.V3.Route;

namespace Weir.ProxyConfig.Routes;

/// <summary>Where rules are compiled for: a gateway or the mesh's sidecars, the port, and the workload whose sidecar it is.</summary>
sealed record RuleScope(string Gateway, int Port, Workload? Source);

/// <summary>Rules of the mesh model to xDS routes: one route for each match of each rule.</summary>
static class RuleCompiler
{
    static readonly HttpMatch Everything = new();

    public static IEnumerable<Route> Compile(MeshSnapshot mesh, VirtualRoute route, RuleScope scope)
    {
        foreach (var (rule, i) in route.Rules.Select((r, i) => (r, i)))
        {
            var name = rule.Name.Length > 0 ? rule.Name : $"{route.Origin.Key}/{i}";
            foreach (var match in rule.Matches.IsEmpty ? [Everything] : rule.Matches)
            {
                if (!Applies(match, scope))
                {
                    continue;
                }

                var compiled = Compile(mesh, rule, match, scope, name);
                yield return compiled;
                if (IsCatchAll(compiled) && scope.Gateway == VirtualRoute.Mesh)
                {
                    // Nothing after it can be reached.
                    yield break;
                }
            }
        }
    }

    public static bool IsCatchAll(Route route) =>
        route.Match.PathSpecifierCase == RouteMatch.PathSpecifierOneofCase.Prefix && route.Match.Prefix == "/"
        && route.Match.Headers.Count == 0 && route.Match.QueryParameters.Count == 0;

    static bool Applies(HttpMatch match, RuleScope scope)
    {
        if (!match.Gateways.IsEmpty)
        {
            // With gateways given, conditions on the source do not count.
            return match.Gateways.Contains(scope.Gateway) && (match.Port is null || match.Port == scope.Port);
        }

        return (match.Port is null || match.Port == scope.Port)
            && (match.SourceNamespace is null || (scope.Source is not null && match.SourceNamespace == scope.Source.Namespace))
            && (match.SourceLabels.IsEmpty || scope.Source?.Matches(match.SourceLabels) == true);
    }

    static Route Compile(MeshSnapshot mesh, HttpRule rule, HttpMatch match, RuleScope scope, string name)
    {
        var route = new Route { Name = name, Match = CompileMatch(match) };
        AddHeaders(rule.Headers, route.RequestHeadersToAdd, route.RequestHeadersToRemove, route.ResponseHeadersToAdd, route.ResponseHeadersToRemove);
        if (rule.Redirect is { } redirect)
        {
            route.Redirect = CompileRedirect(redirect);
        }
        else if (rule.DirectResponse is { } direct)
        {
            route.DirectResponse = new DirectResponseAction { Status = (uint)direct.Status, Body = new DataSource { InlineString = direct.Body } };
        }
        else
        {
            route.Route_ = CompileAction(mesh, rule, match, scope);
        }

        return route;
    }

    /// <summary>Said, since xDS takes 15 s where nothing is said (Envoy API reference, <c>RouteAction.timeout</c>).</summary>
    public static Duration NoTimeout => new();

    static RouteAction CompileAction(MeshSnapshot mesh, HttpRule rule, HttpMatch match, RuleScope scope)
    {
        var action = new RouteAction
        {
            PrefixRewrite = rule.RewritePath is null ? "" : Rewrite(rule.RewritePath, match),
            HostRewriteLiteral = rule.RewriteAuthority ?? AuthorityOverride(rule) ?? "",
            Timeout = rule.Timeout is { } timeout ? Duration.FromTimeSpan(timeout) : NoTimeout,
        };
        if (rule.Destinations is [{ Headers: var only } single] && only == HeaderChanges.None)
        {
            action.Cluster = ClusterOf(mesh, single, scope);
            return action;
        }

        action.WeightedClusters = new WeightedCluster();
        foreach (var destination in rule.Destinations)
        {
            var weighted = new WeightedCluster.Types.ClusterWeight { Name = ClusterOf(mesh, destination, scope), Weight = destination.Weight };
            AddHeaders(destination.Headers, weighted.RequestHeadersToAdd, weighted.RequestHeadersToRemove, weighted.ResponseHeadersToAdd, weighted.ResponseHeadersToRemove);
            action.WeightedClusters.Clusters.Add(weighted);
        }

        return action;
    }

    /// <summary>Of a match on the whole path a rewrite replaces the whole path, of a prefix the prefix.</summary>
    static string Rewrite(string path, HttpMatch match) => match.Path?.Kind == TextMatchKind.Prefix && match.Path.Value == "/" && path != "/"
        ? path.TrimEnd('/') + "/" : path;

    static string? AuthorityOverride(HttpRule rule) => rule.Headers.Request.Set
        .Where(h => h.Name.Equals(":authority", StringComparison.OrdinalIgnoreCase) || h.Name.Equals("host", StringComparison.OrdinalIgnoreCase))
        .Select(h => h.Value).FirstOrDefault();

    static string ClusterOf(MeshSnapshot mesh, WeightedDestination destination, RuleScope scope)
    {
        var service = mesh.Services.GetValueOrDefault(destination.Host);
        var port = destination.Port ?? (service is { Ports.Length: 1 } ? service.Ports[0].Number : scope.Port);
        return ClusterNames.Outbound(port, destination.Subset, destination.Host);
    }

    static RedirectAction CompileRedirect(HttpRedirect redirect) => new()
    {
        SchemeRedirect = redirect.Scheme ?? "",
        HostRedirect = redirect.Authority ?? "",
        PortRedirect = (uint)(redirect.Port ?? 0),
        PathRedirect = redirect.Path ?? "",
        PrefixRewrite = redirect.PrefixRewrite ?? "",
        ResponseCode = redirect.Status switch
        {
            302 => RedirectAction.Types.RedirectResponseCode.Found,
            303 => RedirectAction.Types.RedirectResponseCode.SeeOther,
            307 => RedirectAction.Types.RedirectResponseCode.TemporaryRedirect,
            308 => RedirectAction.Types.RedirectResponseCode.PermanentRedirect,
            _ => RedirectAction.Types.RedirectResponseCode.MovedPermanently,
        },
    };

    static RouteMatch CompileMatch(HttpMatch match)
    {
        var compiled = new RouteMatch();
        switch (match.Path)
        {
            case { Kind: TextMatchKind.Exact } exact:
                compiled.Path = exact.Value;
                break;
            case { Kind: TextMatchKind.Regex } regex:
                compiled.SafeRegex = new RegexMatcher { Regex = regex.Value };
                break;
            case { Kind: TextMatchKind.Prefix } prefix:
                compiled.Prefix = prefix.Value;
                break;
            default:
                compiled.Prefix = "/";
                break;
        }

        if (match.IgnorePathCase)
        {
            compiled.CaseSensitive = false;
        }

        foreach (var (name, text) in new[] { (":method", match.Method), (":authority", match.Authority), (":scheme", match.Scheme) })
        {
            if (text is not null)
            {
                compiled.Headers.Add(Header(name, text, false));
            }
        }

        compiled.Headers.Add(match.Headers.Select(h => Header(h.Name, h.Match, false)));
        compiled.Headers.Add(match.WithoutHeaders.Select(h => Header(h.Name, h.Match, true)));
        compiled.QueryParameters.Add(match.Query.Select(q => q.Match.Kind == TextMatchKind.Present
            ? new QueryParameterMatcher { Name = q.Name, PresentMatch = true }
            : new QueryParameterMatcher { Name = q.Name, StringMatch = Text(q.Match) }));
        return compiled;
    }

    /// <summary>A header that must not have a value may be missing altogether, which a matcher says by taking it for empty.</summary>
    static HeaderMatcher Header(string name, TextMatch match, bool isInverted) => match.Kind == TextMatchKind.Present
        ? new HeaderMatcher { Name = name, PresentMatch = true, InvertMatch = isInverted }
        : new HeaderMatcher { Name = name, StringMatch = Text(match), InvertMatch = isInverted, TreatMissingHeaderAsEmpty = isInverted };

    static StringMatcher Text(TextMatch match) => match.Kind switch
    {
        TextMatchKind.Prefix => new StringMatcher { Prefix = match.Value },
        TextMatchKind.Regex => new StringMatcher { SafeRegex = new RegexMatcher { Regex = match.Value } },
        _ => new StringMatcher { Exact = match.Value },
    };

    static void AddHeaders(
        HeaderChanges changes, ICollection<HeaderValueOption> requestAdd, ICollection<string> requestRemove,
        ICollection<HeaderValueOption> responseAdd, ICollection<string> responseRemove)
    {
        AddOperations(changes.Request, requestAdd, requestRemove);
        AddOperations(changes.Response, responseAdd, responseRemove);
    }

    static void AddOperations(HeaderOperations operations, ICollection<HeaderValueOption> add, ICollection<string> remove)
    {
        void Add(IEnumerable<(string Name, string Value)> headers, HeaderValueOption.Types.HeaderAppendAction action)
        {
            // The authority is no header: it is rewritten by the action. Values are meant as they are written.
            foreach (var (name, value) in headers.Where(h => h.Name[0] != ':' && !h.Name.Equals("host", StringComparison.OrdinalIgnoreCase)))
            {
                add.Add(new HeaderValueOption { Header = new HeaderValue { Key = name, Value = value.Replace("%", "%%", StringComparison.Ordinal) }, AppendAction = action, KeepEmptyValue = true });
            }
        }

        Add(operations.Set, HeaderValueOption.Types.HeaderAppendAction.OverwriteIfExistsOrAdd);
        Add(operations.Add, HeaderValueOption.Types.HeaderAppendAction.AppendIfExistsOrAdd);
        foreach (var name in operations.Remove)
        {
            remove.Add(name);
        }
    }
}
