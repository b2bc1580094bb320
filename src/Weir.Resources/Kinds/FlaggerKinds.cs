using System.Text.Json.Nodes;
using Weir.Resources.Schemas;

namespace Weir.Resources.Kinds;

/// <summary>flagger.app/v1beta1: releases and what they measure and notify.</summary>
static class FlaggerKinds
{
    public static IEnumerable<ResourceKind> All(Func<string, Schema> root)
    {
        yield return Kind("Canary", "canaries", root) with
        {
            Columns =
            [
                Column.Name, Column.At("Status", "status", "phase"), Column.At("Weight", "status", "canaryWeight"),
                Wide("Suspended", "spec", "suspend"), Wide("FailedChecks", "status", "failedChecks"),
                Wide("Interval", "spec", "analysis", "interval"), Wide("Mirror", "spec", "analysis", "mirror"),
                Wide("StepWeight", "spec", "analysis", "stepWeight"), Wide("StepWeights", "spec", "analysis", "stepWeights"),
                Wide("MaxWeight", "spec", "analysis", "maxWeight"),
                Column.At("LastTransitionTime", "status", "lastTransitionTime"),
            ],
            Rules = CheckCanary,
        };
        yield return Kind("MetricTemplate", "metrictemplates", root) with
        {
            Columns = [Column.Name, Column.At("Provider", "spec", "provider", "type")],
        };
        yield return Kind("AlertProvider", "alertproviders", root) with
        {
            Columns = [Column.Name, Column.At("Type", "spec", "type")],
            Rules = CheckAlertProvider,
        };
    }

    static Column Wide(string title, params string[] path) =>
        Column.Text(title, r => r.Json.At(path) is JsonArray list ? list.ToJsonString() : r.Json.Text(path), 1);

    static ResourceKind Kind(string kind, string plural, Func<string, Schema> root) => new()
    {
        Group = "flagger.app",
        Kind = kind,
        Plural = plural,
        Versions = ["v1beta1"],
        Schema = root(kind),
        Categories = ["all"],
        HasStatus = true,
        IsBuiltIn = false,
    };

    static IEnumerable<Violation> CheckCanary(Resource canary)
    {
        var spec = canary.Spec;
        if (spec["service"] is null && spec.Text("provider") != "knative")
        {
            yield return Violation.Required("spec.service");
        }

        foreach (var (match, i) in spec.Objects("service", "match").Select((m, i) => (m, i)))
        {
            foreach (var violation in IstioKinds.CheckMatch(match, $"spec.service.match[{i}]"))
            {
                yield return violation;
            }
        }

        foreach (var (host, i) in spec.Texts("service", "hosts").Select((h, i) => (h, i)))
        {
            if (IstioKinds.HostComplaint(host) is { } complaint)
            {
                yield return Violation.Invalid($"spec.service.hosts[{i}]", host, complaint);
            }
        }

        if (spec["analysis"] is JsonObject analysis)
        {
            foreach (var violation in CheckAnalysis(analysis, spec.Flag("skipAnalysis")))
            {
                yield return violation;
            }
        }
    }

    static IEnumerable<Violation> CheckAnalysis(JsonObject analysis, bool isSkipped)
    {
        var strategies = new[] { "iterations", "stepWeight", "stepWeights" }.Where(s => analysis[s] is not null).ToList();
        if (strategies.Count == 0 && !isSkipped)
        {
            yield return Violation.Required("spec.analysis.stepWeight", "one of stepWeight, stepWeights or iterations");
        }
        else if (strategies.Count > 1)
        {
            yield return Violation.Forbidden($"spec.analysis.{strategies[0]}",
                $"only one of stepWeight, stepWeights and iterations may be set, found {string.Join(" and ", strategies)}");
        }

        if (analysis.Number("stepWeight") == 0)
        {
            yield return Violation.Invalid("spec.analysis.stepWeight", 0, "must be between 1 and 100");
        }

        long last = 0;
        foreach (var (weight, i) in (analysis["stepWeights"] as JsonArray ?? []).Select((w, i) => (w.Number() ?? 0, i)))
        {
            if (weight is < 1 or > 100)
            {
                yield return Violation.Invalid($"spec.analysis.stepWeights[{i}]", weight, "must be between 1 and 100");
            }
            else if (weight <= last)
            {
                yield return Violation.Invalid($"spec.analysis.stepWeights[{i}]", weight, "must be greater than the step before it");
            }

            last = weight;
        }

        if (analysis["stepWeights"] is JsonArray { Count: 0 })
        {
            yield return Violation.Required("spec.analysis.stepWeights", "at least one weight");
        }

        foreach (var (metric, i) in analysis.Objects("metrics").Select((m, i) => (m, i)))
        {
            var range = metric["thresholdRange"];
            if (range.Real("min") > range.Real("max"))
            {
                yield return Violation.Invalid($"spec.analysis.metrics[{i}].thresholdRange.min", range.Real("min"), "must not be greater than max");
            }
        }

        foreach (var (hook, i) in analysis.Objects("webhooks").Select((h, i) => (h, i)))
        {
            if (hook.Text("url") is { Length: > 0 } url
                && (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https")))
            {
                yield return Violation.Invalid($"spec.analysis.webhooks[{i}].url", url, "must be an http or https URL");
            }
        }
    }

    static IEnumerable<Violation> CheckAlertProvider(Resource provider)
    {
        if (provider.Spec["address"] is null == provider.Spec["secretRef"] is null)
        {
            yield return Violation.Invalid("spec.address", provider.Spec.Text("address"), "exactly one of address and secretRef must be set");
        }
    }
}
