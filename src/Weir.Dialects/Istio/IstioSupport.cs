using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Dialects.Istio;

/// <summary>What of Istio's resources this mesh does not do, or not entirely. Nothing is ignored in silence.</summary>
public static class IstioSupport
{
    static readonly Dictionary<string, string> RouteFields = new()
    {
        ["retries"] = "retry policies are not configurable; requests that no upstream has seen are tried again up to twice",
        ["fault"] = "fault injection is not supported",
        ["mirror"] = "mirroring is not supported",
        ["mirrors"] = "mirroring is not supported",
        ["mirrorPercent"] = "mirroring is not supported",
        ["mirror_percent"] = "mirroring is not supported",
        ["mirrorPercentage"] = "mirroring is not supported",
        ["corsPolicy"] = "CORS policies are not supported",
        ["delegate"] = "delegation is not supported",
    };

    static readonly Dictionary<string, string> PolicyFields = new()
    {
        ["connectionPool"] = "connection pool limits are not configurable",
        ["outlierDetection"] = "outlier detection is not supported",
        ["portLevelSettings"] = "settings by port are not supported",
        ["tunnel"] = "tunnels are not supported",
        ["proxyProtocol"] = "the PROXY protocol is not supported",
        ["retryBudget"] = "retry budgets are not supported",
    };

    public static IReadOnlyList<Verdict> Check(Resource resource) => [.. resource.Kind switch
    {
        "VirtualService" => VirtualService(resource.Spec),
        "DestinationRule" => DestinationRule(resource.Spec),
        "Gateway" => Gateway(resource.Spec),
        _ => [],
    }];

    static IEnumerable<Verdict> VirtualService(JsonObject spec)
    {
        foreach (var protocol in new[] { "tls", "tcp" })
        {
            if (spec.Objects(protocol).Any())
            {
                yield return new Verdict($"spec.{protocol}", VerdictKind.Refused, "only HTTP routes are supported");
            }
        }

        foreach (var (http, i) in spec.Objects("http").Select((h, i) => (h, i)))
        {
            foreach (var (field, reason) in RouteFields)
            {
                if (http[field] is not null)
                {
                    yield return new Verdict(
                        $"spec.http[{i}].{field}", field == "retries" ? VerdictKind.Degraded : VerdictKind.Refused, reason);
                }
            }

            if (http.At("rewrite", "uriRegexRewrite") is not null)
            {
                yield return new Verdict($"spec.http[{i}].rewrite.uriRegexRewrite", VerdictKind.Refused, "rewriting by regular expression is not supported");
            }
        }
    }

    static IEnumerable<Verdict> DestinationRule(JsonObject spec)
    {
        foreach (var verdict in Policy(spec["trafficPolicy"], "spec.trafficPolicy"))
        {
            yield return verdict;
        }

        foreach (var (subset, i) in spec.Objects("subsets").Select((s, i) => (s, i)))
        {
            foreach (var verdict in Policy(subset["trafficPolicy"], $"spec.subsets[{i}].trafficPolicy"))
            {
                yield return verdict;
            }
        }

        if (spec["workloadSelector"] is not null)
        {
            yield return new Verdict("spec.workloadSelector", VerdictKind.Refused, "rules for chosen clients are not supported");
        }
    }

    static IEnumerable<Verdict> Policy(JsonNode? policy, string path)
    {
        foreach (var (field, reason) in PolicyFields)
        {
            if (policy.At(field) is not null)
            {
                yield return new Verdict($"{path}.{field}", VerdictKind.Refused, reason);
            }
        }

        if (policy.Text("tls", "mode") is { } mode && mode != "DISABLE")
        {
            yield return new Verdict($"{path}.tls.mode", VerdictKind.Refused, $"{mode}: connections inside the mesh are not encrypted yet");
        }

        if (policy.Text("loadBalancer", "simple") is "PASSTHROUGH")
        {
            yield return new Verdict($"{path}.loadBalancer.simple", VerdictKind.Refused, "PASSTHROUGH is not supported; least request is used");
        }

        foreach (var field in new[] { "consistentHash", "localityLbSetting", "warmup", "warmupDurationSecs" })
        {
            if (policy.At("loadBalancer", field) is not null)
            {
                yield return new Verdict($"{path}.loadBalancer.{field}", VerdictKind.Refused, "not supported; least request is used");
            }
        }
    }

    static IEnumerable<Verdict> Gateway(JsonObject spec)
    {
        foreach (var (server, i) in spec.Objects("servers").Select((s, i) => (s, i)))
        {
            var protocol = server.Text("port", "protocol")?.ToUpperInvariant();
            if (protocol is not ("HTTP" or "HTTP2" or "GRPC"))
            {
                yield return new Verdict($"spec.servers[{i}].port.protocol", VerdictKind.Refused, $"{protocol} is not supported; the port is not opened");
            }
            else if (protocol != "HTTP")
            {
                yield return new Verdict($"spec.servers[{i}].port.protocol", VerdictKind.Degraded, "served as HTTP/1.1");
            }

            if (server["tls"] is not null && protocol == "HTTP")
            {
                yield return new Verdict($"spec.servers[{i}].tls", VerdictKind.Refused, "TLS and HTTPS redirects are not supported");
            }

            if (server.Text("bind") is not null)
            {
                yield return new Verdict($"spec.servers[{i}].bind", VerdictKind.Refused, "the gateway's own address is used");
            }
        }
    }
}
