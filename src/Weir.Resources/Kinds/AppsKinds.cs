using System.Text.Json.Nodes;
using Weir.Resources.Schemas;

namespace Weir.Resources.Kinds;

/// <summary>Workloads and their autoscaler.</summary>
static class AppsKinds
{
    public static IEnumerable<ResourceKind> All(Func<string, Schema> root)
    {
        yield return new ResourceKind
        {
            Group = "apps",
            Kind = "Deployment",
            Plural = "deployments",
            Versions = ["v1"],
            Schema = root("Deployment"),
            ShortNames = ["deploy"],
            Categories = ["all"],
            HasStatus = true,
            HasScale = true,
            Columns =
            [
                Column.Name,
                Column.Text("Ready", r => $"{r.Status.Number("readyReplicas") ?? 0}/{r.Spec.Number("replicas") ?? 1}"),
                Column.Count("Up-to-date", r => r.Status.Number("updatedReplicas") ?? 0),
                Column.Count("Available", r => r.Status.Number("availableReplicas") ?? 0),
                Column.Age, .. TemplateColumns,
            ],
            Rules = CheckWorkload,
            UpdateRules = SelectorIsFixed,
            Defaults = DefaultDeployment,
        };
        yield return new ResourceKind
        {
            Group = "apps",
            Kind = "ReplicaSet",
            Plural = "replicasets",
            Versions = ["v1"],
            Schema = root("ReplicaSet"),
            ShortNames = ["rs"],
            Categories = ["all"],
            HasStatus = true,
            HasScale = true,
            Columns =
            [
                Column.Name,
                Column.Count("Desired", r => r.Spec.Number("replicas") ?? 1),
                Column.Count("Current", r => r.Status.Number("replicas") ?? 0),
                Column.Count("Ready", r => r.Status.Number("readyReplicas") ?? 0),
                Column.Age, .. TemplateColumns,
            ],
            Rules = CheckWorkload,
            UpdateRules = SelectorIsFixed,
            Defaults = r => DefaultTemplate(r.Spec),
        };
        yield return new ResourceKind
        {
            Group = "autoscaling",
            Kind = "HorizontalPodAutoscaler",
            Plural = "horizontalpodautoscalers",
            Versions = ["v2", "v2beta2", "v1"],
            Schema = root("HorizontalPodAutoscaler"),
            ShortNames = ["hpa"],
            Categories = ["all"],
            HasStatus = true,
            Columns =
            [
                Column.Name,
                Column.Text("Reference", r => $"{r.Spec.Text("scaleTargetRef", "kind")}/{r.Spec.Text("scaleTargetRef", "name")}"),
                Column.Text("Targets", DescribeTargets),
                Column.At("MinPods", "spec", "minReplicas"), Column.At("MaxPods", "spec", "maxReplicas"),
                Column.Count("Replicas", r => r.Status.Number("currentReplicas") ?? 0), Column.Age,
            ],
            Rules = r => r.Spec.Number("minReplicas") > r.Spec.Number("maxReplicas")
                ? [Violation.Invalid("spec.maxReplicas", r.Spec.Number("maxReplicas"), "must be greater than or equal to `minReplicas`")]
                : [],
            ToStored = AutoscalerFromV1,
            FromStored = AutoscalerToV1,
        };
    }

    static readonly Column[] TemplateColumns =
    [
        Column.Text("Containers", r => CoreKinds.Join(Containers(r).Select(c => c.Text("name") ?? "")), 1),
        Column.Text("Images", r => CoreKinds.Join(Containers(r).Select(c => c.Text("image") ?? "")), 1),
        Column.Text("Selector", r => LabelSelector.FromJson(r.Spec["selector"]).ToString(), 1),
    ];

    static IEnumerable<JsonObject> Containers(Resource r) => r.Spec.Objects("template", "spec", "containers");

    static IEnumerable<Violation> CheckWorkload(Resource workload)
    {
        var selector = LabelSelector.FromJson(workload.Spec["selector"]);
        if (selector.IsEmpty)
        {
            yield return Violation.Invalid("spec.selector", "{}", "empty selector is invalid for deployment");
        }

        if (!selector.Matches(workload.Spec.TextMap("template", "metadata", "labels")))
        {
            yield return Violation.Invalid("spec.template.metadata.labels",
                workload.Spec.At("template", "metadata", "labels")?.ToJsonString(), "`selector` does not match template `labels`");
        }

        foreach (var violation in PodRules.Check(workload.Spec.At("template", "spec") as JsonObject ?? [], "spec.template.spec"))
        {
            yield return violation;
        }
    }

    static IEnumerable<Violation> SelectorIsFixed(Resource old, Resource changed)
    {
        if (!JsonNode.DeepEquals(old.Spec["selector"], changed.Spec["selector"]))
        {
            yield return Violation.Invalid("spec.selector", changed.Spec["selector"]?.ToJsonString(), "field is immutable");
        }
    }

    static void DefaultDeployment(Resource deployment)
    {
        var spec = deployment.Spec;
        DefaultTemplate(spec);
        var strategy = spec["strategy"] as JsonObject;
        if (strategy is null)
        {
            spec["strategy"] = strategy = new JsonObject { ["type"] = "RollingUpdate" };
        }

        if (strategy.Text("type") == "RollingUpdate")
        {
            var rolling = strategy["rollingUpdate"] as JsonObject;
            if (rolling is null)
            {
                strategy["rollingUpdate"] = rolling = [];
            }

            rolling["maxSurge"] ??= "25%";
            rolling["maxUnavailable"] ??= "25%";
        }
    }

    static void DefaultTemplate(JsonObject spec)
    {
        if (spec.At("template", "spec") is JsonObject pod)
        {
            PodRules.ApplyDefaults(pod);
        }
    }

    static string DescribeTargets(Resource hpa)
    {
        var current = hpa.Status.Objects("currentMetrics").ToList();
        return CoreKinds.Join(hpa.Spec.Objects("metrics").Select((m, i) =>
        {
            var name = m.Text("resource", "name") ?? m.Text("type");
            var target = m.Text("resource", "target", "averageUtilization") is { } percent ? percent + "%"
                : m.Text("resource", "target", "averageValue") ?? "?";
            var now = i < current.Count ? current[i].Text("resource", "current", "averageUtilization") : null;
            return $"{name}: {(now is null ? "<unknown>" : now + "%")}/{target}";
        }));
    }

    /// <summary>autoscaling/v1 has one CPU target where v2 has a list of metrics.</summary>
    static void AutoscalerFromV1(JsonObject json, string version)
    {
        if (version == "v1" && json["spec"] is JsonObject spec && spec.Remove("targetCPUUtilizationPercentage", out var percent))
        {
            spec["metrics"] = new JsonArray(new JsonObject
            {
                ["type"] = "Resource",
                ["resource"] = new JsonObject
                {
                    ["name"] = "cpu",
                    ["target"] = new JsonObject { ["type"] = "Utilization", ["averageUtilization"] = percent },
                },
            });
        }
    }

    static void AutoscalerToV1(JsonObject json, string version)
    {
        if (version != "v1" || json["spec"] is not JsonObject spec)
        {
            return;
        }

        var cpu = spec.Objects("metrics").FirstOrDefault(m => m.Text("resource", "name") == "cpu");
        if (cpu.At("resource", "target", "averageUtilization") is { } percent)
        {
            spec["targetCPUUtilizationPercentage"] = percent.DeepClone();
        }

        spec.Remove("metrics");
        if (json["status"] is JsonObject status)
        {
            status.Remove("conditions");
            status.Remove("currentMetrics");
        }
    }
}
