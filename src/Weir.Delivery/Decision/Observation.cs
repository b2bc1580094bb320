namespace Weir.Delivery.Decision;

/// <summary>Whether a workload has rolled out.</summary>
/// <param name="IsRetriable">Waiting longer may help; false once its deadline has passed.</param>
/// <param name="Message">Why it is not ready, as events say it.</param>
public sealed record Readiness(bool IsReady, bool IsRetriable, string Message)
{
    public static readonly Readiness Ready = new(true, true, "");
}

/// <summary>Which checks of a release are meant; the names of webhook types where there are such.</summary>
public enum CheckKind
{
    ConfirmRollout,
    PreRollout,
    Rollout,
    Rollback,
    ConfirmTrafficIncrease,
    ConfirmPromotion,
    PostRollout,
    Metrics,
}

/// <summary>What came of the checks of one kind.</summary>
/// <param name="Passed">Names of those that passed, in order, up to the first that did not.</param>
/// <param name="Failure">Of the first that did not pass: what to tell the user.</param>
/// <param name="FailedName">Its name.</param>
/// <param name="IsUndecided">Nothing can be said yet; it is neither a pass nor a failed check.</param>
public sealed record CheckResult(IReadOnlyList<string> Passed, string? Failure, string FailedName = "", bool IsUndecided = false)
{
    public static readonly CheckResult None = new([], null);

    public bool HasPassed => Failure is null && !IsUndecided;
}

/// <summary>Everything a decision is made from, besides spec and status. Checks are run only when a decision asks for them.</summary>
public sealed record Observation
{
    /// <summary>Of the target's template now.</summary>
    public required string TargetHash { get; init; }
    public required IReadOnlyDictionary<string, string> Configs { get; init; }
    public required Readiness Primary { get; init; }
    public required Readiness Canary { get; init; }

    /// <summary>Percent of the traffic that the routes send to the canary.</summary>
    public int LiveCanaryWeight { get; init; }

    public IReadOnlyDictionary<CheckKind, CheckResult> Checks { get; init; } = new Dictionary<CheckKind, CheckResult>();

    public Observation With(CheckKind kind, CheckResult result) =>
        this with { Checks = new Dictionary<CheckKind, CheckResult>(Checks) { [kind] = result } };
}
