using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Weir.ApiServer.Requests;
using Weir.Resources.Kinds;

namespace Weir.ApiServer.Discovery;

/// <summary>What the server offers: health, version, API groups (also aggregated) and OpenAPI.</summary>
static class DiscoveryHandler
{
    public const string KubernetesVersion = "v1.33.0";

    public static async Task<bool> TryHandleAsync(HttpContext context, KindCatalog catalog, string path)
    {
        if (context.Request.Method != "GET")
        {
            return false;
        }

        if (path is "/readyz" or "/livez" or "/healthz")
        {
            context.Response.ContentType = "text/plain";
            await context.Response.WriteAsync("ok");
            return true;
        }

        if (path == "/openapi/v2")
        {
            context.Response.ContentType = OpenApiV2.ContentType;
            await context.Response.Body.WriteAsync(OpenApiV2.Document(catalog));
            return true;
        }

        var (json, contentType) = Document(context, catalog, path.TrimEnd('/'));
        if (json is null)
        {
            return false;
        }

        await ApiHandler.WriteJsonAsync(context, 200, json, contentType);
        return true;
    }

    static (JsonObject? Json, string ContentType) Document(HttpContext context, KindCatalog catalog, string path)
    {
        const string plain = "application/json";
        var aggregated = AggregatedVersion(context.Request.Headers.Accept.ToString());
        switch (path)
        {
            case "/version":
                return (Version(), plain);
            case "/api" or "/apis" when aggregated is not null:
                return (Aggregated(catalog, aggregated, isCore: path == "/api"),
                    $"application/json;g=apidiscovery.k8s.io;v={aggregated};as=APIGroupDiscoveryList");
            case "/api":
                return (new JsonObject
                {
                    ["kind"] = "APIVersions",
                    ["versions"] = new JsonArray("v1"),
                    ["serverAddressByClientCIDRs"] = new JsonArray(),
                }, plain);
            case "/apis":
                return (new JsonObject
                {
                    ["kind"] = "APIGroupList",
                    ["apiVersion"] = "v1",
                    ["groups"] = new JsonArray([.. Groups(catalog).Select(g => Group(g, withKind: false))]),
                }, plain);
            case "/openapi/v3":
                return (OpenApi.Index(Versions(catalog)), plain);
        }

        if (path.StartsWith("/openapi/v3/", StringComparison.Ordinal))
        {
            var version = path["/openapi/v3/".Length..];
            return (Versions(catalog).FirstOrDefault(v => v.Path == version) is { Kinds: { } kinds } found
                ? OpenApi.Document(catalog, found.Version, kinds) : null, plain);
        }

        if (Versions(catalog).FirstOrDefault(v => "/" + v.Path == path) is { Kinds: { } members } served)
        {
            return (ResourceList(served.Version, members), plain);
        }

        return (Groups(catalog).FirstOrDefault(g => "/apis/" + g.Key == path) is { } group ? Group(group, withKind: true) : null, plain);
    }

    static JsonObject Version() => new()
    {
        ["major"] = "1",
        ["minor"] = "33",
        ["gitVersion"] = KubernetesVersion,
        ["gitCommit"] = "",
        ["gitTreeState"] = "clean",
        ["buildDate"] = "1970-01-01T00:00:00Z",
        ["goVersion"] = "none",
        ["compiler"] = "weir",
        ["platform"] = "linux/amd64",
    };

    static IEnumerable<IGrouping<string, ResourceKind>> Groups(KindCatalog catalog) =>
        catalog.All.Where(k => k.Group.Length > 0).GroupBy(k => k.Group);

    static IEnumerable<(string Path, string Version, List<ResourceKind> Kinds)> Versions(KindCatalog catalog) =>
        from kind in catalog.All
        from version in kind.Versions
        group kind by (kind.Group, version) into g
        select (g.Key.Group.Length == 0 ? $"api/{g.Key.version}" : $"apis/{g.Key.Group}/{g.Key.version}", g.Key.version, g.ToList());

    static JsonObject Group(IGrouping<string, ResourceKind> group, bool withKind)
    {
        var versions = group.SelectMany(k => k.Versions).Distinct()
            .Select(v => new JsonObject { ["groupVersion"] = $"{group.Key}/{v}", ["version"] = v }).ToList();
        var json = new JsonObject
        {
            ["name"] = group.Key,
            ["versions"] = new JsonArray([.. versions]),
            ["preferredVersion"] = versions[0].DeepClone(),
        };
        if (withKind)
        {
            json["kind"] = "APIGroup";
            json["apiVersion"] = "v1";
        }

        return json;
    }

    static readonly string[] Verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

    static IEnumerable<(string Name, string Kind, string[] Verbs)> Subresources(ResourceKind kind)
    {
        if (kind.HasStatus)
        {
            yield return ("status", kind.Kind, ["get", "patch", "update"]);
        }

        if (kind.HasScale)
        {
            yield return ("scale", "Scale", ["get", "patch", "update"]);
        }

        if (kind.Kind == "Pod")
        {
            yield return ("log", "Pod", ["get"]);
            yield return ("exec", "PodExecOptions", ["create", "get"]);
        }
    }

    static JsonArray List(IEnumerable<string> values) => new([.. values.Select(v => JsonValue.Create(v))]);

    static JsonObject ResourceList(string version, List<ResourceKind> kinds)
    {
        var resources = new JsonArray();
        foreach (var kind in kinds)
        {
            var json = new JsonObject
            {
                ["name"] = kind.Plural,
                ["singularName"] = kind.Singular,
                ["namespaced"] = kind.IsNamespaced,
                ["kind"] = kind.Kind,
                ["verbs"] = List(Verbs),
            };
            if (kind.ShortNames.Count > 0)
            {
                json["shortNames"] = List(kind.ShortNames);
            }

            if (kind.Categories.Count > 0)
            {
                json["categories"] = List(kind.Categories);
            }

            resources.Add(json);
            foreach (var (name, subKind, verbs) in Subresources(kind))
            {
                resources.Add(new JsonObject
                {
                    ["name"] = $"{kind.Plural}/{name}",
                    ["singularName"] = "",
                    ["namespaced"] = kind.IsNamespaced,
                    ["kind"] = subKind,
                    ["verbs"] = List(verbs),
                });
            }
        }

        return new JsonObject
        {
            ["kind"] = "APIResourceList",
            ["apiVersion"] = "v1",
            ["groupVersion"] = kinds[0].ApiVersion(version),
            ["resources"] = resources,
        };
    }

    static string? AggregatedVersion(string accept) =>
        !accept.Contains("as=APIGroupDiscoveryList", StringComparison.Ordinal) ? null
        : accept.Contains("v=v2;", StringComparison.Ordinal) || accept.EndsWith("v=v2", StringComparison.Ordinal) || accept.Contains("v=v2,", StringComparison.Ordinal) ? "v2"
        : "v2beta1";

    static JsonObject Aggregated(KindCatalog catalog, string version, bool isCore)
    {
        var groups = isCore ? catalog.All.Where(k => k.Group.Length == 0).GroupBy(k => k.Group) : Groups(catalog);
        return new JsonObject
        {
            ["kind"] = "APIGroupDiscoveryList",
            ["apiVersion"] = "apidiscovery.k8s.io/" + version,
            ["metadata"] = new JsonObject(),
            ["items"] = new JsonArray([.. groups.Select(g => new JsonObject
            {
                ["metadata"] = new JsonObject { ["name"] = g.Key },
                ["versions"] = new JsonArray([.. g.SelectMany(k => k.Versions).Distinct().Select(v => new JsonObject
                {
                    ["version"] = v,
                    ["freshness"] = "Current",
                    ["resources"] = new JsonArray([.. g.Where(k => k.Versions.Contains(v)).Select(k => AggregatedKind(k, v))]),
                })]),
            })]),
        };
    }

    static JsonObject AggregatedKind(ResourceKind kind, string version)
    {
        JsonObject ResponseKind(string name) => new() { ["group"] = kind.Group, ["version"] = version, ["kind"] = name };
        return new JsonObject
        {
            ["resource"] = kind.Plural,
            ["responseKind"] = ResponseKind(kind.Kind),
            ["scope"] = kind.IsNamespaced ? "Namespaced" : "Cluster",
            ["singularResource"] = kind.Singular,
            ["verbs"] = List(Verbs),
            ["shortNames"] = List(kind.ShortNames),
            ["categories"] = List(kind.Categories),
            ["subresources"] = new JsonArray([.. Subresources(kind).Select(s => new JsonObject
            {
                ["subresource"] = s.Name,
                ["responseKind"] = ResponseKind(s.Kind),
                ["verbs"] = List(s.Verbs),
            })]),
        };
    }
}
