using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Node.Pods;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Values;

namespace Weir.Node.Autoscaling;

/// <summary>
/// Scales by the processor use of the pods' processes, with Kubernetes' formula, tolerance, start-up allowance and scale-down
/// stabilization; and keeps every target between minimum and maximum. A target at zero is left alone.
/// </summary>
public sealed class HorizontalPodAutoscalerController : Controller
{
    static readonly TimeSpan Period = TimeSpan.FromSeconds(15);
    static readonly TimeSpan MinimumWindow = TimeSpan.FromSeconds(5);

    /// <summary>Young pods are busy starting; what they use says nothing yet.</summary>
    static readonly TimeSpan InitializationPeriod = TimeSpan.FromMinutes(5);
    static readonly TimeSpan DownscaleStabilization = TimeSpan.FromMinutes(5);
    const double Tolerance = 0.1;

    readonly KubeClient client;
    readonly Informer autoscalers;
    readonly Informer pods;
    readonly KindCatalog catalog;
    readonly EventRecorder events;
    readonly Func<ObjectKey, IEnumerable<int>> processesOf;
    readonly Dictionary<ObjectKey, List<(DateTimeOffset At, int Replicas)>> recommendations = [];
    readonly Dictionary<string, (DateTimeOffset At, TimeSpan Used)> samples = [];

    public HorizontalPodAutoscalerController(
        KubeClient client, KindCatalog catalog, Informers informers, Func<ObjectKey, IEnumerable<int>> processesOf, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        this.catalog = catalog;
        this.processesOf = processesOf;
        events = new EventRecorder(client, catalog, time, "horizontal-pod-autoscaler");
        autoscalers = Watch(informers.For("autoscaling", "HorizontalPodAutoscaler"));
        pods = informers.For("", "Pod");

        // A target that changes size may have left its bounds.
        informers.For("apps", "Deployment").OnChange(change =>
        {
            foreach (var hpa in autoscalers.In(change.Resource.Namespace).Where(h => h.Spec.Text("scaleTargetRef", "name") == change.Resource.Name))
            {
                Queue.Add(hpa.Key);
            }
        });
    }

    protected override int Workers => 1;

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        var hpa = autoscalers.Get(key);
        if (hpa is null || hpa.IsDeleting)
        {
            recommendations.Remove(key);
            return null;
        }

        var reference = hpa.Spec["scaleTargetRef"];
        var kind = catalog.FindKind(reference.Text("apiVersion") ?? "apps/v1", reference.Text("kind") ?? "");
        var target = kind is { HasScale: true }
            ? await client.GetAsync(kind, new ObjectKey(key.Namespace, reference.Text("name") ?? ""), cancel) : null;
        if (target is null)
        {
            await WriteStatusAsync(hpa, 0, 0, null, "False", "FailedGetScale", "the target does not exist or cannot be scaled", cancel);
            return Period;
        }

        var current = (int)(target.Spec.Number("replicas") ?? 1);
        if (current == 0)
        {
            await WriteStatusAsync(hpa, 0, 0, null, "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero", cancel);
            return Period;
        }

        var utilization = MeasureUtilization(target);
        var minimum = (int)(hpa.Spec.Number("minReplicas") ?? 1);
        var maximum = (int)(hpa.Spec.Number("maxReplicas") ?? minimum);
        var wanted = Math.Clamp(Stabilize(key, current, Desired(hpa, current, utilization)), minimum, maximum);
        if (wanted != current)
        {
            (await client.PatchAsync(kind!, target.Key, new JsonObject { ["spec"] = new JsonObject { ["replicas"] = wanted } }, cancel)).OrThrow();
            await events.RecordAsync(hpa, false, "SuccessfulRescale", $"New size: {wanted}; reason: {(wanted < minimum || current < minimum ? "Current number of replicas below Spec.MinReplicas" : "cpu resource utilization")}", cancel);
        }

        await WriteStatusAsync(hpa, current, wanted, utilization, "True", "ReadyForNewScale", "recommended size matches current size", cancel);
        return Period;
    }

    static int Desired(Resource hpa, int current, int? utilization)
    {
        var target = hpa.Spec.Objects("metrics").Select(m => m.Number("resource", "target", "averageUtilization")).FirstOrDefault(u => u is not null);
        if (utilization is null || target is null)
        {
            return current;
        }

        var ratio = (double)utilization.Value / target.Value;
        return Math.Abs(ratio - 1) <= Tolerance ? current : (int)Math.Ceiling(current * ratio);
    }

    /// <summary>Never below what was recommended within the last five minutes.</summary>
    int Stabilize(ObjectKey key, int current, int desired)
    {
        var now = Time.GetUtcNow();
        if (!recommendations.TryGetValue(key, out var history))
        {
            recommendations[key] = history = [(now, current)];
        }

        history.Add((now, desired));
        history.RemoveAll(r => now - r.At > DownscaleStabilization);
        return desired >= current ? desired : Math.Min(current, history.Max(r => r.Replicas));
    }

    /// <summary>Percent of the requested processor time, averaged over the ready pods; null when there is nothing to measure yet.</summary>
    int? MeasureUtilization(Resource target)
    {
        var selector = LabelSelector.FromJson(target.Spec["selector"]);
        double used = 0, requested = 0;
        foreach (var pod in pods.In(target.Namespace).Where(p => selector.Matches(p.Labels) && !p.IsDeleting))
        {
            if (Time.GetUtcNow() - pod.Created < InitializationPeriod || Sample(pod) is not { } cores)
            {
                continue;
            }

            used += cores;
            requested += pod.Spec.Objects("containers").Sum(c => Quantity.TryParse(c.Text("resources", "requests", "cpu"), out var q) ? q : 0);
        }

        return requested > 0 ? (int)Math.Round(used / requested * 100) : null;
    }

    double? Sample(Resource pod)
    {
        var now = Time.GetUtcNow();
        var total = processesOf(pod.Key).Select(ContainerProcess.ProcessorTime).Aggregate(TimeSpan.Zero, (sum, t) => sum + (t ?? TimeSpan.Zero));
        var known = samples.TryGetValue(pod.Uid, out var before);
        if (known && now - before.At < MinimumWindow)
        {
            return null;
        }

        samples[pod.Uid] = (now, total);
        foreach (var old in samples.Where(s => now - s.Value.At > InitializationPeriod).Select(s => s.Key).ToList())
        {
            samples.Remove(old);
        }

        return known && total >= before.Used ? (total - before.Used) / (now - before.At) : null;
    }

    async Task WriteStatusAsync(
        Resource hpa, int current, int desired, int? utilization, string active, string reason, string message, CancellationToken cancel)
    {
        await client.ChangeAsync(autoscalers.Kind, hpa.Key, fresh =>
        {
            var before = fresh.Status.Objects("conditions").FirstOrDefault(c => c.Text("type") == "AbleToScale");
            var status = new JsonObject
            {
                ["observedGeneration"] = hpa.Generation,
                ["currentReplicas"] = current,
                ["desiredReplicas"] = desired,
                ["conditions"] = new JsonArray(new JsonObject
                {
                    ["type"] = "AbleToScale",
                    ["status"] = active,
                    ["reason"] = reason,
                    ["message"] = message,
                    ["lastTransitionTime"] = before.Text("status") == active ? before.Text("lastTransitionTime") : Time.GetUtcNow().ToTimestamp(),
                }),
            };
            if (utilization is not null)
            {
                status["currentMetrics"] = new JsonArray(new JsonObject
                {
                    ["type"] = "Resource",
                    ["resource"] = new JsonObject { ["name"] = "cpu", ["current"] = new JsonObject { ["averageUtilization"] = utilization } },
                });
            }

            if (JsonNode.DeepEquals(status, fresh.Json["status"]))
            {
                return false;
            }

            fresh.Json["status"] = status;
            return true;
        }, cancel, isStatus: true);
    }
}
