using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Delivery.Targets;

/// <summary>The deployment that serves between releases: a copy of the target under the name <c>TARGET-primary</c>.</summary>
public sealed class PrimaryDeployment(KubeClient client, KindCatalog catalog, ConfigTracker configs)
{
    static readonly string[] SelectorLabels = ["app", "name", "app.kubernetes.io/name"];

    readonly ResourceKind deployments = catalog.Get("apps", "Deployment");

    /// <summary>The label by which the target's pods are told apart, and its value; null when it has none that is known.</summary>
    public static (string Label, string Value)? SelectorOf(Resource target)
    {
        var labels = target.Spec.TextMap("selector", "matchLabels");
        foreach (var label in SelectorLabels)
        {
            if (labels.TryGetValue(label, out var value))
            {
                return (label, value);
            }
        }

        return null;
    }

    public async Task<Resource> CreateAsync(Resource canary, Resource target, CancellationToken cancel)
    {
        var (label, value) = SelectorOf(target)!.Value;
        await configs.CopyAsync(target, canary, cancel);
        var primary = Resource.New("apps/v1", "Deployment", target.Namespace, target.Name + "-primary").OwnedBy(canary);
        primary.Metadata["labels"] = new JsonObject { [label] = value + "-primary" };
        var annotations = new JsonObject();
        foreach (var (name, text) in target.Annotations.Where(a => IsCopied(a.Key)))
        {
            annotations[name] = text;
        }

        primary.Metadata["annotations"] = annotations;
        var spec = target.Spec.DeepClone().AsObject();
        spec["replicas"] = Math.Max(1, target.Spec.Number("replicas") ?? 1);
        spec["selector"] = new JsonObject { ["matchLabels"] = new JsonObject { [label] = value + "-primary" } };
        spec["template"] = await TemplateAsync(target, cancel);
        primary.Json["spec"] = spec;
        return (await client.CreateAsync(deployments, primary, cancel)).OrThrow();
    }

    /// <summary>Gives the primary the target's template and settings.</summary>
    /// <param name="syncReplicas">Without an autoscaler the target's size is the primary's too.</param>
    public async Task PromoteAsync(Resource canary, Resource target, bool syncReplicas, CancellationToken cancel)
    {
        await configs.CopyAsync(target, canary, cancel);
        var template = await TemplateAsync(target, cancel);
        await client.ChangeAsync(deployments, new ObjectKey(target.Namespace, target.Name + "-primary"), primary =>
        {
            foreach (var field in new[] { "minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy" })
            {
                primary.Spec[field] = target.Spec[field]?.DeepClone();
            }

            if (syncReplicas && target.Spec.Number("replicas") is > 0 and var replicas)
            {
                primary.Spec["replicas"] = replicas;
            }

            primary.Spec["template"] = template.DeepClone();
            return true;
        }, cancel);
    }

    async Task<JsonObject> TemplateAsync(Resource target, CancellationToken cancel)
    {
        var (label, value) = SelectorOf(target)!.Value;
        var template = target.Spec["template"]!.DeepClone().AsObject();
        var metadata = (template["metadata"] ??= new JsonObject()).AsObject();
        (metadata["labels"] ??= new JsonObject()).AsObject()[label] = value + "-primary";

        // A fresh id makes the primary roll even where only its configuration has changed.
        (metadata["annotations"] ??= new JsonObject()).AsObject()["flagger-id"] = Guid.NewGuid().ToString();
        ConfigTracker.Rewrite(template, await configs.FindAsync(target, cancel));
        RenameTerms(template["spec"], label, value);
        return template;
    }

    /// <summary>Terms of affinity and spreading that speak of the target's pods speak of the primary's.</summary>
    static void RenameTerms(JsonNode? spec, string label, string value)
    {
        foreach (var selector in Selectors(spec))
        {
            if (selector["matchLabels"] is JsonObject labels && labels.Text(label) == value)
            {
                labels[label] = value + "-primary";
            }

            foreach (var expression in selector.Objects("matchExpressions").Where(e => e.Text("key") == label))
            {
                expression["values"] = new JsonArray([.. expression.Texts("values").Select(v => JsonValue.Create(v == value ? v + "-primary" : v))]);
            }
        }
    }

    static IEnumerable<JsonObject> Selectors(JsonNode? spec)
    {
        var anti = spec.At("affinity", "podAntiAffinity");
        return spec.Objects("topologySpreadConstraints").Select(c => c["labelSelector"])
            .Concat(anti.Objects("requiredDuringSchedulingIgnoredDuringExecution").Select(t => t["labelSelector"]))
            .Concat(anti.Objects("preferredDuringSchedulingIgnoredDuringExecution").Select(t => t.At("podAffinityTerm", "labelSelector")))
            .OfType<JsonObject>();
    }

    static bool IsCopied(string annotation) =>
        !annotation.Contains("toolkit.fluxcd.io", StringComparison.Ordinal)
        && annotation is not ("kubectl.kubernetes.io/last-applied-configuration" or "deployment.kubernetes.io/revision");
}
