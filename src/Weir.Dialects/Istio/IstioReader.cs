using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Weir.Mesh;
using Weir.Mesh.Gateways;
using Weir.Mesh.Routes;
using Weir.Resources;
using Weir.Resources.Values;

namespace Weir.Dialects.Istio;

/// <summary>networking.istio.io into the mesh model. Resources have been validated; what is not supported, the verdicts say.</summary>
public static class IstioReader
{
    public static VirtualRoute ReadVirtualService(Resource resource)
    {
        var ns = resource.Namespace;
        var gateways = resource.Spec.Texts("gateways").Select(g => GatewayName(g, ns)).ToImmutableArray();
        return new VirtualRoute(
            OriginOf(resource),
            [.. resource.Spec.Texts("hosts").Select(h => MeshSnapshot.FullHost(h, ns))],
            gateways.IsEmpty ? [VirtualRoute.Mesh] : gateways,
            ExportedTo(resource),
            [.. resource.Spec.Objects("http").Where(h => h["delegate"] is null).Select(h => ReadRule(h, ns))]);
    }

    public static DestinationPolicy ReadDestinationRule(Resource resource) => new(
        OriginOf(resource),
        MeshSnapshot.FullHost(resource.Spec.Text("host") ?? "", resource.Namespace),
        ReadLoadBalancing(resource.Spec["trafficPolicy"]) ?? LoadBalancing.LeastRequest,
        resource.Spec.Objects("subsets").DistinctBy(s => s.Text("name")).ToImmutableDictionary(
            s => s.Text("name") ?? "",
            s => new Subset(s.Text("name") ?? "", s.TextMap("labels").ToImmutableSortedDictionary(StringComparer.Ordinal), ReadLoadBalancing(s["trafficPolicy"]))));

    public static MeshGateway ReadGateway(Resource resource) => new(
        OriginOf(resource),
        resource.Spec.TextMap("selector").ToImmutableSortedDictionary(StringComparer.Ordinal),
        [.. resource.Spec.Objects("servers")
            .Where(s => s.Text("port", "protocol")?.ToUpperInvariant() is "HTTP" or "HTTP2" or "GRPC")
            .Select(s => new GatewayServer((int)(s.Number("port", "number") ?? 0),
                [.. s.Texts("hosts").Select(h => h[(h.IndexOf('/', StringComparison.Ordinal) + 1)..])]))]);

    static Origin OriginOf(Resource resource) => new(resource.Kind, resource.Key, resource.Created);

    /// <summary>
    /// <c>name</c> and <c>./name</c> are of the rule's namespace; <c>namespace/name</c> says it; and so does the host-like form
    /// <c>name.namespace.svc.cluster.local</c>, which Istio accepts.
    /// </summary>
    static string GatewayName(string name, string ns)
    {
        if (name == VirtualRoute.Mesh)
        {
            return name;
        }

        if (name.Split('/') is [var space, var bare])
        {
            return space == "." ? $"{ns}/{bare}" : name;
        }

        return name.Split('.') is [var first, var second, ..] ? $"{second}/{first}" : $"{ns}/{name}";
    }

    static ImmutableArray<string> ExportedTo(Resource resource)
    {
        var list = resource.Spec.Texts("exportTo").ToList();
        return list.Count == 0 ? ["*"] : [.. list.Where(e => e != "~").Select(e => e == "." ? resource.Namespace : e)];
    }

    static LoadBalancing? ReadLoadBalancing(JsonNode? policy) => policy.Text("loadBalancer", "simple") switch
    {
        "ROUND_ROBIN" => LoadBalancing.RoundRobin,
        "RANDOM" => LoadBalancing.Random,
        "LEAST_REQUEST" or "LEAST_CONN" => LoadBalancing.LeastRequest,
        _ => null,
    };

    static HttpRule ReadRule(JsonObject http, string ns)
    {
        var destinations = http.Objects("route").ToList();
        return new HttpRule(http.Text("name") ?? "", [.. http.Objects("match").Select(m => ReadMatch(m, ns))])
        {
            // A single destination gets everything, whatever its weight says.
            Destinations = [.. destinations.Select(d => new WeightedDestination(
                MeshSnapshot.FullHost(d.Text("destination", "host") ?? "", ns), d.Text("destination", "subset") ?? "",
                (int?)d.Number("destination", "port", "number"),
                destinations.Count == 1 ? 1 : (uint)(d.Number("weight") ?? 0), ReadHeaders(d["headers"])))
                .Where(d => d.Weight > 0)],
            Redirect = http["redirect"] is JsonObject redirect ? ReadRedirect(redirect) : null,
            DirectResponse = http["directResponse"] is JsonObject direct
                ? new HttpDirectResponse((int)(direct.Number("status") ?? 200), direct.Text("body", "string") ?? "") : null,
            Headers = ReadHeaders(http["headers"]),
            RewritePath = http.Text("rewrite", "uri"),
            RewriteAuthority = http.Text("rewrite", "authority"),
            Timeout = GoDuration.TryParse(http.Text("timeout"), out var timeout) && timeout > TimeSpan.Zero ? timeout : null,
        };
    }

    static HttpRedirect ReadRedirect(JsonObject redirect)
    {
        var uri = redirect.Text("uri");
        return new HttpRedirect(
            redirect.Text("scheme"), redirect.Text("authority"), (int?)redirect.Number("port"), uri, redirect.Text("prefixRewrite"),
            (int)(redirect.Number("redirectCode") ?? 301));
    }

    static HttpMatch ReadMatch(JsonObject match, string ns) => new()
    {
        Path = ReadText(match["uri"]),
        IgnorePathCase = match.Flag("ignoreUriCase"),
        Method = ReadText(match["method"]),
        Authority = ReadText(match["authority"]),
        Scheme = ReadText(match["scheme"]),
        Headers = ReadMap(match["headers"]),
        WithoutHeaders = ReadMap(match["withoutHeaders"]),
        Query = ReadMap(match["queryParams"]),
        Port = (int?)match.Number("port"),
        SourceNamespace = match.Text("sourceNamespace"),
        SourceLabels = match.TextMap("sourceLabels").ToImmutableSortedDictionary(StringComparer.Ordinal),
        Gateways = [.. match.Texts("gateways").Select(g => GatewayName(g, ns))],
    };

    static ImmutableArray<(string, TextMatch)> ReadMap(JsonNode? map) =>
        map is JsonObject o ? [.. o.Select(p => (p.Key, ReadText(p.Value) ?? new TextMatch(TextMatchKind.Present, "")))] : [];

    /// <summary>An empty matcher, and the expression <c>*</c>, ask only that the value be there.</summary>
    static TextMatch? ReadText(JsonNode? match) => match switch
    {
        null => null,
        _ when match.Text("exact") is { } exact => new TextMatch(TextMatchKind.Exact, exact),
        _ when match.Text("prefix") is { } prefix => new TextMatch(TextMatchKind.Prefix, prefix),
        _ when match.Text("regex") is { } regex && regex != "*" => new TextMatch(TextMatchKind.Regex, regex),
        _ => new TextMatch(TextMatchKind.Present, ""),
    };

    static HeaderChanges ReadHeaders(JsonNode? headers) =>
        headers is null ? HeaderChanges.None : new HeaderChanges(ReadOperations(headers["request"]), ReadOperations(headers["response"]));

    static HeaderOperations ReadOperations(JsonNode? operations) => operations is null ? HeaderOperations.None : new HeaderOperations(
        [.. operations.TextMap("set").Select(p => (p.Key, p.Value))], [.. operations.TextMap("add").Select(p => (p.Key, p.Value))],
        [.. operations.Texts("remove")]);
}
