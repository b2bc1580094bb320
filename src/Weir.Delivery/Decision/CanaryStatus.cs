using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Delivery.Decision;

public enum CanaryPhase
{
    /// <summary>Not seen before.</summary>
    None,
    Initializing,
    Initialized,
    Waiting,
    Progressing,
    WaitingPromotion,
    Promoting,
    Finalising,
    Succeeded,
    Failed,
    Terminating,
}

/// <summary>The state of a release. All of it is in the resource's status, so that any process can go on from there.</summary>
public sealed record CanaryStatus
{
    public CanaryPhase Phase { get; init; }
    public int FailedChecks { get; init; }
    public int CanaryWeight { get; init; }
    public int Iterations { get; init; }

    /// <summary>Hash of the template under analysis, or last analysed.</summary>
    public string LastAppliedSpec { get; init; } = "";

    /// <summary>Hash of the template that the primary runs.</summary>
    public string LastPromotedSpec { get; init; } = "";

    /// <summary>Config maps and secrets that the target refers to, with the hash of their data when last applied.</summary>
    public IReadOnlyDictionary<string, string> TrackedConfigs { get; init; } = new Dictionary<string, string>();

    /// <summary>The analysis has begun: its pre-rollout checks have passed. Not the same as a weight above 0 (a gate may hold it at 0).</summary>
    public bool HasStarted => CanaryWeight > 0;

    public static CanaryStatus From(Resource canary) => new()
    {
        Phase = Enum.TryParse<CanaryPhase>(canary.Status.Text("phase"), out var phase) ? phase : CanaryPhase.None,
        FailedChecks = (int)(canary.Status.Number("failedChecks") ?? 0),
        CanaryWeight = (int)(canary.Status.Number("canaryWeight") ?? 0),
        Iterations = (int)(canary.Status.Number("iterations") ?? 0),
        LastAppliedSpec = canary.Status.Text("lastAppliedSpec") ?? "",
        LastPromotedSpec = canary.Status.Text("lastPromotedSpec") ?? "",
        TrackedConfigs = canary.Status.TextMap("trackedConfigs"),
    };

    public JsonObject ToJson(JsonObject previous, DateTimeOffset now)
    {
        var status = previous.DeepClone().AsObject();
        var hasMoved = previous.Text("phase") != Phase.ToString();
        status["phase"] = Phase.ToString();
        status["failedChecks"] = FailedChecks;
        status["canaryWeight"] = CanaryWeight;
        status["iterations"] = Iterations;
        SetOrRemove(status, "lastAppliedSpec", LastAppliedSpec);
        SetOrRemove(status, "lastPromotedSpec", LastPromotedSpec);
        var tracked = new JsonObject();
        foreach (var (name, hash) in TrackedConfigs)
        {
            tracked[name] = hash;
        }

        status["trackedConfigs"] = tracked;
        if (hasMoved || previous.Number("canaryWeight") != CanaryWeight || previous.Number("failedChecks") != FailedChecks)
        {
            status["lastTransitionTime"] = now.ToTimestamp();
        }

        var (value, message) = PromotedCondition();
        var before = previous.Objects("conditions").FirstOrDefault(c => c.Text("type") == "Promoted");
        status["conditions"] = new JsonArray(new JsonObject
        {
            ["type"] = "Promoted",
            ["status"] = value,
            ["reason"] = Phase.ToString(),
            ["message"] = message,
            ["lastUpdateTime"] = hasMoved || before is null ? now.ToTimestamp() : before.Text("lastUpdateTime"),
            ["lastTransitionTime"] = before.Text("status") == value ? before.Text("lastTransitionTime") : now.ToTimestamp(),
        });
        return status;
    }

    static void SetOrRemove(JsonObject status, string name, string value)
    {
        status.Remove(name);
        if (value.Length > 0)
        {
            status[name] = value;
        }
    }

    (string Value, string Message) PromotedCondition() => Phase switch
    {
        CanaryPhase.Initialized => ("True", "Deployment initialization completed."),
        CanaryPhase.Succeeded => ("True", "Canary analysis completed successfully, promotion finished."),
        CanaryPhase.Failed => ("False", "Canary analysis failed, Deployment scaled to zero."),
        CanaryPhase.Initializing => ("Unknown", "New Deployment detected, starting initialization."),
        CanaryPhase.Waiting => ("Unknown", "Waiting for approval."),
        CanaryPhase.Progressing => ("Unknown", "New revision detected, progressing canary analysis."),
        CanaryPhase.WaitingPromotion => ("Unknown", "Waiting for approval."),
        CanaryPhase.Promoting => ("Unknown", "Canary analysis completed, starting primary rolling update."),
        CanaryPhase.Finalising => ("Unknown", "Canary analysis completed, routing all traffic to primary."),
        _ => ("Unknown", Phase.ToString()),
    };
}
