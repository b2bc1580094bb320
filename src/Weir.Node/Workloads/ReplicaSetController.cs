using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Workloads;

/// <summary>Keeps as many pods of one template as are wanted.</summary>
public sealed class ReplicaSetController : Controller
{
    /// <summary>Pods created or deleted in one pass; the rest follows in the next.</summary>
    const int MaximumBurst = 50;

    readonly KubeClient client;
    readonly ResourceKind replicaSets;
    readonly ResourceKind pods;
    readonly EventRecorder events;

    public ReplicaSetController(KubeClient client, KindCatalog catalog, Informers informers, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        replicaSets = catalog.Get("apps", "ReplicaSet");
        pods = catalog.Get("", "Pod");
        events = new EventRecorder(client, catalog, time, "replicaset-controller");
        Watch(informers.For("apps", "ReplicaSet"));
        WatchOwned(informers.For("", "Pod"), "ReplicaSet");
    }

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        // Lists come from the server, not from the informer: a pod just created must be counted.
        var replicaSet = await client.GetAsync(replicaSets, key, cancel);
        if (replicaSet is null || replicaSet.IsDeleting)
        {
            return null;
        }

        var selector = LabelSelector.FromJson(replicaSet.Spec["selector"]);
        var owned = (await client.ListAsync(pods, key.Namespace, cancel, selector.ToString())).Items
            .Where(p => p.Controller?.Uid == replicaSet.Uid && !p.IsDeleting && p.Status.Text("phase") is not ("Failed" or "Succeeded")).ToList();
        var wanted = (int)(replicaSet.Spec.Number("replicas") ?? 1);
        for (var i = 0; i < Math.Min(wanted - owned.Count, MaximumBurst); i++)
        {
            await CreatePodAsync(replicaSet, cancel);
        }

        foreach (var surplus in InOrderOfDeletion(owned).Take(Math.Min(owned.Count - wanted, MaximumBurst)))
        {
            await client.DeleteAsync(pods, surplus.Key, cancel, surplus.Uid);
            await events.RecordAsync(replicaSet, false, "SuccessfulDelete", $"Deleted pod: {surplus.Name}", cancel);
        }

        return await WriteStatusAsync(replicaSet, owned, cancel);
    }

    /// <summary>Pods that serve nobody first, then the youngest.</summary>
    static IEnumerable<Resource> InOrderOfDeletion(List<Resource> owned) =>
        owned.OrderBy(IsReady).ThenByDescending(p => p.Created).ThenByDescending(p => p.Name, StringComparer.Ordinal);

    async Task CreatePodAsync(Resource replicaSet, CancellationToken cancel)
    {
        var template = replicaSet.Spec["template"]!.AsObject();
        var metadata = template["metadata"]?.DeepClone().AsObject() ?? [];
        metadata["generateName"] = replicaSet.Name + "-";
        metadata["namespace"] = replicaSet.Namespace;
        var pod = new Resource(new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Pod",
            ["metadata"] = metadata,
            ["spec"] = template["spec"]?.DeepClone(),
        }).OwnedBy(replicaSet);
        var result = await client.CreateAsync(pods, pod, cancel);
        await (result.IsDone
            ? events.RecordAsync(replicaSet, false, "SuccessfulCreate", $"Created pod: {result.Resource!.Name}", cancel)
            : events.RecordAsync(replicaSet, true, "FailedCreate", $"Error creating: {result.Message}", cancel));
        result.OrThrow();
    }

    async Task<TimeSpan?> WriteStatusAsync(Resource replicaSet, List<Resource> owned, CancellationToken cancel)
    {
        var minimum = TimeSpan.FromSeconds(replicaSet.Spec.Number("minReadySeconds") ?? 0);
        var now = Time.GetUtcNow();
        var ages = owned.Where(IsReady).Select(p => now - (ReadyCondition(p).Time("lastTransitionTime") ?? now)).ToList();
        var status = new JsonObject
        {
            ["observedGeneration"] = replicaSet.Generation,
            ["replicas"] = owned.Count,
            ["fullyLabeledReplicas"] = owned.Count,
            ["readyReplicas"] = ages.Count,
            ["availableReplicas"] = ages.Count(age => age >= minimum),
        };
        if (!JsonNode.DeepEquals(status, replicaSet.Json["status"]))
        {
            await client.ChangeAsync(replicaSets, replicaSet.Key, fresh =>
            {
                fresh.Json["status"] = status.DeepClone();
                return true;
            }, cancel, isStatus: true);
        }

        var waiting = ages.Where(age => age < minimum).ToList();
        return waiting.Count == 0 ? null : minimum - waiting.Max() + TimeSpan.FromMilliseconds(50);
    }

    static JsonObject? ReadyCondition(Resource pod) => pod.Status.Objects("conditions").FirstOrDefault(c => c.Text("type") == "Ready");

    static bool IsReady(Resource pod) => ReadyCondition(pod).Text("status") == "True";
}
