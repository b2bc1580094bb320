using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Delivery.Targets;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Delivery.Routing;

/// <summary>Istio's resources: a VirtualService with two weighted routes, and a DestinationRule for each of the two.</summary>
public sealed class IstioRouter(KubeClient client, KindCatalog catalog) : IMeshRouter
{
    const string ApiVersion = "networking.istio.io/v1";

    readonly ResourceKind virtualServices = catalog.Get("networking.istio.io", "VirtualService");
    readonly ResourceKind destinationRules = catalog.Get("networking.istio.io", "DestinationRule");

    public async Task ReconcileAsync(Resource canary, CancellationToken cancel)
    {
        foreach (var variant in new[] { "-canary", "-primary" })
        {
            await EnsureRuleAsync(canary, CanaryServices.ApexName(canary) + variant, cancel);
        }

        var wanted = BuildSpec(canary, await GetCanaryWeightAsync(canary, cancel));
        var key = KeyOf(canary);
        var existing = await client.GetAsync(virtualServices, key, cancel);
        if (existing is null)
        {
            var created = Resource.New(ApiVersion, "VirtualService", key.Namespace, key.Name).OwnedBy(canary);
            created.Metadata["labels"] = canary.Spec.At("service", "apex", "labels")?.DeepClone();
            created.Metadata["annotations"] = canary.Spec.At("service", "apex", "annotations")?.DeepClone();
            created.Json["spec"] = wanted;
            (await client.CreateAsync(virtualServices, created, cancel)).OrThrow();
        }
        else if (!JsonNode.DeepEquals(existing.Json["spec"], wanted))
        {
            await client.ChangeAsync(virtualServices, key, vs =>
            {
                vs.Json["spec"] = wanted.DeepClone();
                return true;
            }, cancel);
        }
    }

    public async Task<int> GetCanaryWeightAsync(Resource canary, CancellationToken cancel)
    {
        var existing = await client.GetAsync(virtualServices, KeyOf(canary), cancel);
        var name = CanaryServices.ApexName(canary) + "-canary";
        return (int)(existing?.Spec.Objects("http").SelectMany(h => h.Objects("route"))
            .FirstOrDefault(r => r.Text("destination", "host") == name).Number("weight") ?? 0);
    }

    public Task SetCanaryWeightAsync(Resource canary, int weight, CancellationToken cancel) =>
        client.ChangeAsync(virtualServices, KeyOf(canary), vs =>
        {
            vs.Json["spec"] = BuildSpec(canary, weight);
            return true;
        }, cancel);

    static ObjectKey KeyOf(Resource canary) => new(canary.Namespace, CanaryServices.ApexName(canary));

    /// <summary>The whole of the routes' spec; pure.</summary>
    public static JsonObject BuildSpec(Resource canary, int canaryWeight)
    {
        var service = canary.Spec["service"]!.AsObject();
        var apex = CanaryServices.ApexName(canary);
        var hosts = service.Texts("hosts").Append(apex).Distinct();
        var gateways = service.Texts("gateways").ToList();
        var http = new JsonObject();
        foreach (var field in new[] { "match", "timeout", "retries", "corsPolicy", "headers" })
        {
            if (service[field] is { } value)
            {
                http[field] = value.DeepClone();
            }
        }

        if (service["rewrite"] is JsonObject rewrite)
        {
            var copy = rewrite.DeepClone().AsObject();
            copy.Remove("type");
            http["rewrite"] = copy;
        }

        http["route"] = new JsonArray(Destination(apex + "-primary", 100 - canaryWeight), Destination(apex + "-canary", canaryWeight));
        return new JsonObject
        {
            ["gateways"] = new JsonArray([.. (gateways.Count == 0 ? ["mesh"] : gateways).Select(g => JsonValue.Create(g))]),
            ["hosts"] = new JsonArray([.. hosts.Select(h => JsonValue.Create(h))]),
            ["http"] = new JsonArray(http),
        };
    }

    static JsonObject Destination(string host, int weight) =>
        new() { ["destination"] = new JsonObject { ["host"] = host }, ["weight"] = weight };

    async Task EnsureRuleAsync(Resource canary, string name, CancellationToken cancel)
    {
        var spec = new JsonObject { ["host"] = name };
        if (canary.Spec.At("service", "trafficPolicy") is { } policy)
        {
            spec["trafficPolicy"] = policy.DeepClone();
        }

        var key = new ObjectKey(canary.Namespace, name);
        var existing = await client.GetAsync(destinationRules, key, cancel);
        if (existing is null)
        {
            var created = Resource.New(ApiVersion, "DestinationRule", key.Namespace, key.Name).OwnedBy(canary);
            created.Json["spec"] = spec;
            (await client.CreateAsync(destinationRules, created, cancel)).OrThrow();
        }
        else if (!JsonNode.DeepEquals(existing.Json["spec"], spec))
        {
            await client.ChangeAsync(destinationRules, key, rule =>
            {
                rule.Json["spec"] = spec.DeepClone();
                return true;
            }, cancel);
        }
    }
}
