using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Delivery.Targets;

/// <summary>The primary's autoscaler: a copy of the one that the Canary refers to.</summary>
public sealed class PrimaryAutoscaler(KubeClient client, KindCatalog catalog)
{
    readonly ResourceKind autoscalers = catalog.Get("autoscaling", "HorizontalPodAutoscaler");

    public static bool IsUsed(Resource canary) => canary.Spec["autoscalerRef"] is not null;

    /// <summary>Creates the copy; an existing one is refreshed only during a promotion, so that a release decides when it changes.</summary>
    public async Task SyncAsync(Resource canary, bool refresh, CancellationToken cancel)
    {
        if (canary.Spec.Text("autoscalerRef", "name") is not { } name)
        {
            return;
        }

        var source = await FindAsync(canary, cancel) ?? throw new KubeApiException($"horizontalpodautoscalers \"{name}\" not found");
        var copy = Resource.New("autoscaling/v2", "HorizontalPodAutoscaler", canary.Namespace, name + "-primary").OwnedBy(canary);
        var spec = source.Spec.DeepClone().AsObject();
        var target = spec["scaleTargetRef"]!.AsObject();
        target["name"] = canary.Spec.Text("targetRef", "name") + "-primary";
        if (canary.Spec.At("autoscalerRef", "primaryScalerReplicas") is JsonObject replicas)
        {
            foreach (var field in new[] { "minReplicas", "maxReplicas" })
            {
                spec[field] = replicas[field]?.DeepClone() ?? spec[field]?.DeepClone();
            }
        }

        copy.Json["spec"] = spec;
        var existing = await client.GetAsync(autoscalers, copy.Key, cancel);
        if (existing is null)
        {
            (await client.CreateAsync(autoscalers, copy, cancel)).OrThrow();
        }
        else if (refresh && !JsonNode.DeepEquals(existing.Json["spec"], copy.Json["spec"]))
        {
            (await client.ReplaceAsync(autoscalers, copy, cancel)).OrThrow();
        }
    }

    /// <summary>The size below which the target's autoscaler does not let it fall.</summary>
    public async Task<int?> MinimumAsync(Resource canary, CancellationToken cancel) =>
        IsUsed(canary) ? (int?)(await FindAsync(canary, cancel))?.Spec.Number("minReplicas") : null;

    Task<Resource?> FindAsync(Resource canary, CancellationToken cancel) =>
        client.GetAsync(autoscalers, new ObjectKey(canary.Namespace, canary.Spec.Text("autoscalerRef", "name") ?? ""), cancel);
}
