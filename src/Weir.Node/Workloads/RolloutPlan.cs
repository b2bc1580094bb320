namespace Weir.Node.Workloads;

/// <summary>One ReplicaSet as a rollout sees it.</summary>
/// <param name="Pods">That exist now, wanted or not.</param>
public readonly record struct ReplicaSetSize(int Replicas, int Pods, int Available);

/// <summary>How large each ReplicaSet of a deployment should be next.</summary>
public sealed record RolloutPlan(int New, IReadOnlyList<int> Old)
{
    /// <summary>
    /// A step of a rolling update: never more than <paramref name="replicas"/> + <paramref name="maxSurge"/> pods, never fewer than
    /// <paramref name="replicas"/> - <paramref name="maxUnavailable"/> available. Old sets come oldest first.
    /// </summary>
    public static RolloutPlan Rolling(int replicas, int maxSurge, int maxUnavailable, ReplicaSetSize current, IReadOnlyList<ReplicaSetSize> old)
    {
        // Both zero would never get anywhere.
        if (maxSurge == 0 && maxUnavailable == 0)
        {
            maxUnavailable = 1;
        }

        var total = current.Replicas + old.Sum(o => o.Replicas);
        var grown = current.Replicas > replicas
            ? replicas
            : Math.Min(replicas, current.Replicas + Math.Max(0, replicas + maxSurge - total));

        var available = current.Available + old.Sum(o => o.Available);
        var minimum = replicas - maxUnavailable;
        var pendingNew = Math.Max(0, current.Replicas - current.Available);
        var budget = Math.Max(0, total - minimum - pendingNew);
        var targets = old.Select(o => o.Replicas).ToArray();

        // Pods that serve nobody go first: they cost no availability.
        for (var i = 0; i < targets.Length && budget > 0; i++)
        {
            var broken = Math.Min(budget, Math.Max(0, old[i].Replicas - old[i].Available));
            targets[i] -= broken;
            budget -= broken;
        }

        var spare = available - minimum;
        for (var i = 0; i < targets.Length && spare > 0; i++)
        {
            var down = Math.Min(spare, Math.Min(targets[i], old[i].Available));
            targets[i] -= down;
            spare -= down;
        }

        return new RolloutPlan(grown, targets);
    }

    /// <summary>All old pods go, and have gone, before the first new one comes.</summary>
    public static RolloutPlan Recreate(int replicas, IReadOnlyList<ReplicaSetSize> old) =>
        new(old.All(o => o.Pods == 0) ? replicas : 0, [.. old.Select(_ => 0)]);
}
