using System.Text.Json.Nodes;
using Weir.Resources.Schemas;

namespace Weir.Resources.Kinds;

/// <summary>networking.istio.io: the three served versions have one schema.</summary>
static class IstioKinds
{
    static readonly string[] Versions = ["v1", "v1beta1", "v1alpha3"];

    public static IEnumerable<ResourceKind> All(Func<string, Schema> root)
    {
        yield return Kind("VirtualService", "virtualservices", ["vs"], root) with
        {
            Columns =
            [
                Column.Name,
                Column.Text("Gateways", r => r.Spec["gateways"]?.ToJsonString()),
                Column.Text("Hosts", r => r.Spec["hosts"]?.ToJsonString()),
                Column.Age,
            ],
            Rules = CheckVirtualService,
        };
        yield return Kind("DestinationRule", "destinationrules", ["dr"], root) with
        {
            Columns = [Column.Name, Column.At("Host", "spec", "host"), Column.Age],
            Rules = CheckDestinationRule,
        };
        yield return Kind("Gateway", "gateways", ["gw"], root) with { Rules = CheckGateway };
    }

    static ResourceKind Kind(string kind, string plural, string[] shortNames, Func<string, Schema> root) => new()
    {
        Group = "networking.istio.io",
        Kind = kind,
        Plural = plural,
        Versions = Versions,
        Schema = root(kind),
        ShortNames = shortNames,
        Categories = ["istio-io", "networking-istio-io"],
        HasStatus = true,
        IsBuiltIn = false,
    };

    static IEnumerable<Violation> CheckVirtualService(Resource vs)
    {
        var hosts = vs.Spec.Texts("hosts").ToList();
        if (hosts.Count == 0)
        {
            yield return Violation.Required("spec.hosts", "at least one host");
        }

        for (var i = 0; i < hosts.Count; i++)
        {
            if (HostComplaint(hosts[i]) is { } complaint)
            {
                yield return Violation.Invalid($"spec.hosts[{i}]", hosts[i], complaint);
            }
        }

        if (!vs.Spec.Objects("http").Any() && !vs.Spec.Objects("tcp").Any() && !vs.Spec.Objects("tls").Any())
        {
            yield return Violation.Required("spec.http", "a VirtualService needs at least one http, tls or tcp route");
        }

        foreach (var (http, i) in vs.Spec.Objects("http").Select((h, i) => (h, i)))
        {
            foreach (var violation in CheckHttpRoute(http, $"spec.http[{i}]"))
            {
                yield return violation;
            }
        }
    }

    static IEnumerable<Violation> CheckHttpRoute(JsonObject http, string path)
    {
        var routes = http.Objects("route").ToList();
        var actions = (routes.Count > 0 ? 1 : 0) + new[] { "redirect", "directResponse", "delegate" }.Count(a => http[a] is not null);
        if (actions == 0)
        {
            yield return Violation.Required($"{path}.route", "one of route, redirect, directResponse or delegate");
        }
        else if (actions > 1)
        {
            yield return Violation.Forbidden(path, "only one of route, redirect, directResponse and delegate may be set");
        }

        foreach (var (route, i) in routes.Select((r, i) => (r, i)))
        {
            if (route.Text("destination", "host") is { Length: > 0 } host && HostComplaint(host) is { } complaint)
            {
                yield return Violation.Invalid($"{path}.route[{i}].destination.host", host, complaint);
            }
        }

        if (routes.Count > 1 && routes.Sum(r => Math.Max(0, r.Number("weight") ?? 0)) == 0)
        {
            yield return Violation.Invalid($"{path}.route", "0", "the weights of the destinations must not all be 0");
        }

        foreach (var (match, i) in http.Objects("match").Select((m, i) => (m, i)))
        {
            foreach (var violation in CheckMatch(match, $"{path}.match[{i}]"))
            {
                yield return violation;
            }
        }
    }

    /// <summary>Shared with Flagger's Canary, whose matches have this shape.</summary>
    internal static IEnumerable<Violation> CheckMatch(JsonObject match, string path)
    {
        foreach (var field in new[] { "uri", "scheme", "method", "authority" })
        {
            if (match[field] is JsonObject single && CheckStringMatch(single, $"{path}.{field}") is { } violation)
            {
                yield return violation;
            }
        }

        foreach (var field in new[] { "headers", "withoutHeaders", "queryParams" })
        {
            foreach (var (name, value) in match[field] as JsonObject ?? [])
            {
                if (value is JsonObject matcher && CheckStringMatch(matcher, $"{path}.{field}[{name}]") is { } violation)
                {
                    yield return violation;
                }
            }
        }
    }

    static Violation? CheckStringMatch(JsonObject match, string path)
    {
        if (match.Count > 1)
        {
            return Violation.Forbidden(path, "only one of exact, prefix and regex may be set");
        }

        if (match.Text("regex") is { } regex)
        {
            try
            {
                _ = new System.Text.RegularExpressions.Regex(regex, System.Text.RegularExpressions.RegexOptions.NonBacktracking);
            }
            catch (Exception e) when (e is ArgumentException or NotSupportedException)
            {
                return Violation.Invalid(path + ".regex", regex, "not a regular expression of RE2's kind");
            }
        }

        return null;
    }

    static IEnumerable<Violation> CheckDestinationRule(Resource rule)
    {
        if (rule.Spec.Text("host") is { Length: > 0 } host && HostComplaint(host) is { } complaint)
        {
            yield return Violation.Invalid("spec.host", host, complaint);
        }

        var names = new HashSet<string>();
        foreach (var (subset, i) in rule.Spec.Objects("subsets").Select((s, i) => (s, i)))
        {
            if (!names.Add(subset.Text("name") ?? ""))
            {
                yield return new Violation($"spec.subsets[{i}].name", ViolationKind.Duplicate, $"Duplicate value: \"{subset.Text("name")}\"");
            }
        }
    }

    static IEnumerable<Violation> CheckGateway(Resource gateway)
    {
        if (!gateway.Spec.Objects("servers").Any())
        {
            yield return Violation.Required("spec.servers", "at least one server");
        }

        foreach (var (server, i) in gateway.Spec.Objects("servers").Select((s, i) => (s, i)))
        {
            var hosts = server.Texts("hosts").ToList();
            if (hosts.Count == 0)
            {
                yield return Violation.Required($"spec.servers[{i}].hosts", "at least one host");
            }

            for (var j = 0; j < hosts.Count; j++)
            {
                if (HostComplaint(hosts[j][(hosts[j].IndexOf('/') + 1)..]) is { } complaint)
                {
                    yield return Violation.Invalid($"spec.servers[{i}].hosts[{j}]", hosts[j], complaint);
                }
            }
        }
    }

    internal static string? HostComplaint(string host)
    {
        if (host.Length == 0)
        {
            return "a host must not be empty";
        }

        var rest = host.StartsWith("*.", StringComparison.Ordinal) ? host[2..] : host;
        return rest == "*" || SchemaValidator.IsDnsSubdomain(rest.ToLowerInvariant())
            ? null
            : "must be a DNS name with an optional leading wildcard, such as reviews, reviews.test.svc.cluster.local or *.example.com";
    }
}
