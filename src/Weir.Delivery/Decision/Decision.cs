namespace Weir.Delivery.Decision;

/// <summary>Something to be done to the cluster. Actions are carried out in order, each safe to repeat.</summary>
public abstract record CanaryAction
{
    CanaryAction()
    {
    }

    /// <summary>The canary gets this percentage of the traffic, the primary the rest.</summary>
    public sealed record SetWeight(int Canary) : CanaryAction;

    public sealed record ScaleCanaryUp : CanaryAction;

    public sealed record ScaleCanaryDown : CanaryAction;

    /// <summary>The target's template, and what it is configured by, become the primary's.</summary>
    public sealed record PromoteTemplate : CanaryAction;

    /// <summary>The primary's autoscaler follows the target's.</summary>
    public sealed record SyncAutoscaler : CanaryAction;
}

public sealed record CanaryEvent(bool IsWarning, string Message);

/// <summary>What to do next: either a check whose result is needed first, or actions, a new status and events.</summary>
/// <param name="Needs">When given, the rest is empty: decide again with the result.</param>
public sealed record CanaryDecision(
    CheckKind? Needs, IReadOnlyList<CanaryAction> Actions, CanaryStatus Status, IReadOnlyList<CanaryEvent> Events);
