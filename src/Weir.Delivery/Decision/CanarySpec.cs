using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Values;

namespace Weir.Delivery.Decision;

/// <summary>What a decision needs of a Canary's spec, with defaults filled in.</summary>
public sealed record CanarySpec
{
    /// <summary>Shorter intervals are taken as this one.</summary>
    static readonly TimeSpan MinimumInterval = TimeSpan.FromSeconds(1);

    public required string Target { get; init; }
    public required TimeSpan Interval { get; init; }
    public int Threshold { get; init; }
    public int StepWeight { get; init; }
    public IReadOnlyList<int> StepWeights { get; init; } = [];
    public int MaxWeight { get; init; } = 100;
    public int StepWeightPromotion { get; init; }
    public bool IsSuspended { get; init; }
    public bool SkipsAnalysis { get; init; }
    public int PrimaryReadyThreshold { get; init; } = 100;
    public int CanaryReadyThreshold { get; init; } = 100;
    public TimeSpan ProgressDeadline { get; init; }

    /// <summary>What this platform cannot do for this release, by field; such a release is not touched.</summary>
    public IReadOnlyList<string> Unsupported { get; init; } = [];

    public static CanarySpec From(Resource canary)
    {
        var spec = canary.Spec;
        var analysis = spec["analysis"];
        var stepWeights = (analysis?["stepWeights"] as JsonArray ?? []).Select(w => (int)(w.Number() ?? 0)).ToList();
        var interval = GoDuration.ParseOr(analysis.Text("interval"), TimeSpan.FromSeconds(60));
        return new CanarySpec
        {
            Target = spec.Text("targetRef", "name") ?? "",
            Interval = interval < MinimumInterval ? MinimumInterval : interval,
            Threshold = (int)(analysis.Number("threshold") is > 0 and var t ? t : 1),
            StepWeight = (int)(analysis.Number("stepWeight") ?? 0),
            StepWeights = stepWeights,
            MaxWeight = stepWeights.Count > 0 ? Math.Min(100, stepWeights[^1]) : (int)(analysis.Number("maxWeight") is > 0 and var m ? m : 100),
            StepWeightPromotion = (int)(analysis.Number("stepWeightPromotion") ?? 0),
            IsSuspended = spec.Flag("suspend"),
            SkipsAnalysis = spec.Flag("skipAnalysis"),
            PrimaryReadyThreshold = (int)(analysis.Number("primaryReadyThreshold") ?? 100),
            CanaryReadyThreshold = (int)(analysis.Number("canaryReadyThreshold") ?? 100),
            ProgressDeadline = TimeSpan.FromSeconds(spec.Number("progressDeadlineSeconds") is > 0 and var d ? d : 600),
            Unsupported = [.. FindUnsupported(spec)],
        };
    }

    /// <summary>The weight after this one; the maximum and more when there is no further step.</summary>
    public int NextWeight(int weight) => StepWeights.Count > 0
        ? StepWeights.FirstOrDefault(w => w > weight, MaxWeight)
        : Math.Min(100, weight + StepWeight);

    static IEnumerable<string> FindUnsupported(JsonObject spec)
    {
        if (spec.Text("provider") is { } provider && provider != "istio")
        {
            yield return $"spec.provider: {provider} is not supported, only istio";
        }

        if (spec.Text("targetRef", "kind") is { } kind && kind != "Deployment")
        {
            yield return $"spec.targetRef.kind: {kind} is not supported, only Deployment";
        }

        if (spec.Text("autoscalerRef", "kind") is { } scaler && scaler != "HorizontalPodAutoscaler")
        {
            yield return $"spec.autoscalerRef.kind: {scaler} is not supported, only HorizontalPodAutoscaler";
        }

        foreach (var (field, reason) in new[]
        {
            ("iterations", "blue/green and A/B releases are not supported"), ("match", "A/B releases are not supported"),
            ("sessionAffinity", "session affinity is not supported"), ("alerts", "alerts are not supported"),
        })
        {
            if (spec.At("analysis", field) is { } value && value is not JsonArray { Count: 0 })
            {
                yield return $"spec.analysis.{field}: {reason}";
            }
        }

        if (spec.Flag("analysis", "mirror"))
        {
            yield return "spec.analysis.mirror: mirroring is not supported";
        }

        foreach (var field in new[] { "delegation", "mirror" })
        {
            if (spec.At("service", field) is { } value && (value is JsonArray { Count: > 0 } || spec.Flag("service", field)))
            {
                yield return $"spec.service.{field}: not supported";
            }
        }

        if (spec.Text("service", "appProtocol")?.Equals("tcp", StringComparison.OrdinalIgnoreCase) == true)
        {
            yield return "spec.service.appProtocol: TCP routing is not supported";
        }
    }
}
