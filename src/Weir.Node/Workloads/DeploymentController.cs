using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Values;

namespace Weir.Node.Workloads;

/// <summary>Deployments: one ReplicaSet for each template, rolled from one to the next.</summary>
public sealed class DeploymentController : Controller
{
    const string RevisionAnnotation = "deployment.kubernetes.io/revision";
    const string HashLabel = "pod-template-hash";

    readonly KubeClient client;
    readonly ResourceKind deployments;
    readonly ResourceKind replicaSets;
    readonly EventRecorder events;

    public DeploymentController(KubeClient client, KindCatalog catalog, Informers informers, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        deployments = catalog.Get("apps", "Deployment");
        replicaSets = catalog.Get("apps", "ReplicaSet");
        events = new EventRecorder(client, catalog, time, "deployment-controller");
        Watch(informers.For("apps", "Deployment"));
        WatchOwned(informers.For("apps", "ReplicaSet"), "Deployment");
    }

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        var deployment = await client.GetAsync(deployments, key, cancel);
        if (deployment is null || deployment.IsDeleting)
        {
            return null;
        }

        var all = (await client.ListAsync(replicaSets, key.Namespace, cancel)).Items
            .Where(r => r.Controller?.Uid == deployment.Uid && !r.IsDeleting).OrderBy(r => r.Created).ThenBy(Revision).ToList();
        var current = all.FindLast(r => SameTemplate(r, deployment));
        var isPaused = deployment.Spec.Flag("paused");
        if (current is null && !isPaused)
        {
            current = await CreateReplicaSetAsync(deployment, all, cancel);
        }

        if (current is not null)
        {
            current = await KeepRevisionAsync(deployment, current, all, cancel);
        }

        var old = all.Where(r => r.Uid != current?.Uid).ToList();
        await ScaleAsync(deployment, current, old, isPaused, cancel);
        var again = await WriteStatusAsync(deployment, current, old, cancel);
        if (current is not null && IsComplete(deployment, current, old))
        {
            await RemoveHistoryAsync(deployment, old, cancel);
        }

        return again;
    }

    static long Revision(Resource r) => long.TryParse(r.Annotations.GetValueOrDefault(RevisionAnnotation), out var n) ? n : 0;

    static bool SameTemplate(Resource replicaSet, Resource deployment)
    {
        var template = replicaSet.Spec["template"]?.DeepClone();
        (template.At("metadata", "labels") as JsonObject)?.Remove(HashLabel);
        return JsonNode.DeepEquals(template, deployment.Spec["template"]);
    }

    async Task<Resource> CreateReplicaSetAsync(Resource deployment, List<Resource> all, CancellationToken cancel)
    {
        var template = deployment.Spec["template"]!.DeepClone().AsObject();
        var hash = TemplateHash.Of(template);
        var created = Resource.New("apps/v1", "ReplicaSet", deployment.Namespace, $"{deployment.Name}-{hash}").OwnedBy(deployment);
        var metadata = (template["metadata"] ??= new JsonObject()).AsObject();
        (metadata["labels"] ??= new JsonObject()).AsObject()[HashLabel] = hash;
        var selector = deployment.Spec["selector"]!.DeepClone().AsObject();
        (selector["matchLabels"] ??= new JsonObject()).AsObject()[HashLabel] = hash;
        created.Metadata["labels"] = metadata["labels"]!.DeepClone();
        var annotations = new JsonObject();
        foreach (var (name, value) in deployment.Annotations.Where(a => a.Key is not (RevisionAnnotation or "kubectl.kubernetes.io/last-applied-configuration")))
        {
            annotations[name] = value;
        }

        annotations[RevisionAnnotation] = $"{(all.Count == 0 ? 0 : all.Max(Revision)) + 1}";
        created.Metadata["annotations"] = annotations;
        created.Json["spec"] = new JsonObject
        {
            ["replicas"] = 0,
            ["selector"] = selector,
            ["template"] = template,
            ["minReadySeconds"] = deployment.Spec.Number("minReadySeconds") ?? 0,
        };
        var result = await client.CreateAsync(replicaSets, created, cancel);
        if (result.Outcome == WriteOutcome.AlreadyExists)
        {
            return await client.GetAsync(replicaSets, created.Key, cancel) is { } existing && existing.Controller?.Uid == deployment.Uid
                ? existing
                : throw new KubeApiException($"ReplicaSet {created.Key} exists and belongs to another owner");
        }

        all.Add(result.OrThrow());
        return result.Resource!;
    }

    /// <summary>The set in use carries the highest revision, also after a rollback to an older template.</summary>
    async Task<Resource> KeepRevisionAsync(Resource deployment, Resource current, List<Resource> all, CancellationToken cancel)
    {
        var highest = all.Where(r => r.Uid != current.Uid).Select(Revision).DefaultIfEmpty(0).Max();
        var revision = Math.Max(Revision(current), highest + 1);
        var cause = deployment.Annotations.GetValueOrDefault("kubernetes.io/change-cause");
        JsonObject Annotate() => new() { [RevisionAnnotation] = $"{revision}", ["kubernetes.io/change-cause"] = cause };
        if (Revision(current) != revision || current.Annotations.GetValueOrDefault("kubernetes.io/change-cause") != cause)
        {
            var patch = new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = Annotate() } };
            current = (await client.PatchAsync(replicaSets, current.Key, patch, cancel)).OrThrow();
            all[all.FindIndex(r => r.Uid == current.Uid)] = current;
        }

        if (deployment.Annotations.GetValueOrDefault(RevisionAnnotation) != $"{revision}")
        {
            var patch = new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [RevisionAnnotation] = $"{revision}" } } };
            await client.PatchAsync(deployments, deployment.Key, patch, cancel);
        }

        return current;
    }

    async Task ScaleAsync(Resource deployment, Resource? current, List<Resource> old, bool isPaused, CancellationToken cancel)
    {
        var replicas = (int)(deployment.Spec.Number("replicas") ?? 1);
        var sizes = old.Select(SizeOf).ToList();
        RolloutPlan plan;
        if (isPaused)
        {
            plan = new RolloutPlan(current is null ? 0 : replicas, [.. sizes.Select(s => s.Replicas)]);
        }
        else if (deployment.Spec.Text("strategy", "type") == "Recreate")
        {
            plan = RolloutPlan.Recreate(replicas, sizes);
        }
        else
        {
            var rolling = deployment.Spec.At("strategy", "rollingUpdate");
            plan = RolloutPlan.Rolling(replicas,
                IntOrPercent.Resolve(rolling.At("maxSurge"), replicas, roundUp: true, 1),
                IntOrPercent.Resolve(rolling.At("maxUnavailable"), replicas, roundUp: false, 0),
                SizeOf(current!), sizes);
        }

        if (current is not null)
        {
            await ResizeAsync(deployment, current, plan.New, cancel);
        }

        for (var i = 0; i < old.Count; i++)
        {
            await ResizeAsync(deployment, old[i], plan.Old[i], cancel);
        }
    }

    static ReplicaSetSize SizeOf(Resource r) => new(
        (int)(r.Spec.Number("replicas") ?? 1), (int)(r.Status.Number("replicas") ?? 0), (int)(r.Status.Number("availableReplicas") ?? 0));

    async Task ResizeAsync(Resource deployment, Resource replicaSet, int replicas, CancellationToken cancel)
    {
        var was = replicaSet.Spec.Number("replicas") ?? 1;
        if (was == replicas)
        {
            return;
        }

        await client.PatchAsync(replicaSets, replicaSet.Key, new JsonObject { ["spec"] = new JsonObject { ["replicas"] = replicas } }, cancel);
        replicaSet.Spec["replicas"] = replicas;
        await events.RecordAsync(deployment, false, "ScalingReplicaSet",
            $"Scaled {(replicas > was ? "up" : "down")} replica set {replicaSet.Name} from {was} to {replicas}", cancel);
    }

    static bool IsComplete(Resource deployment, Resource current, List<Resource> old)
    {
        var replicas = deployment.Spec.Number("replicas") ?? 1;
        return (current.Status.Number("availableReplicas") ?? 0) >= replicas
            && (current.Status.Number("replicas") ?? 0) == replicas && old.TrueForAll(o => (o.Status.Number("replicas") ?? 0) == 0);
    }

    async Task<TimeSpan?> WriteStatusAsync(Resource deployment, Resource? current, List<Resource> old, CancellationToken cancel)
    {
        var now = Time.GetUtcNow();
        TimeSpan? again = null;
        await client.ChangeAsync(deployments, deployment.Key, fresh =>
        {
            var next = DeploymentStatus.Build(deployment, current, old, fresh.Status, now, out again);
            if (JsonNode.DeepEquals(next, fresh.Json["status"]))
            {
                return false;
            }

            fresh.Json["status"] = next;
            return true;
        }, cancel, isStatus: true);
        return again;
    }

    async Task RemoveHistoryAsync(Resource deployment, List<Resource> old, CancellationToken cancel)
    {
        var limit = (int)(deployment.Spec.Number("revisionHistoryLimit") ?? 10);
        foreach (var surplus in old.OrderByDescending(Revision).Skip(limit))
        {
            await client.DeleteAsync(replicaSets, surplus.Key, cancel, surplus.Uid);
        }
    }
}
