using Weir.Delivery.Decision;
using Weir.Resources;

namespace Weir.Delivery.Targets;

/// <summary>Whether a deployment has rolled out, by the rules of <c>kubectl rollout status</c> with a threshold.</summary>
public static class RolloutReadiness
{
    public static Readiness Of(Resource? deployment, int readyThreshold, TimeSpan deadline, DateTimeOffset now)
    {
        if (deployment is null)
        {
            return new Readiness(false, true, "deployment does not exist");
        }

        if ((deployment.Status.Number("observedGeneration") ?? 0) < deployment.Generation)
        {
            return Waiting("observed deployment generation less than desired generation");
        }

        var wanted = deployment.Spec.Number("replicas") ?? 1;
        var progressing = Condition(deployment, "Progressing");
        if (progressing.Text("reason") == "ProgressDeadlineExceeded")
        {
            return new Readiness(false, false, $"deployment \"{deployment.Name}\" exceeded its progress deadline");
        }

        var available = deployment.Status.Number("availableReplicas") ?? 0;
        var updated = deployment.Status.Number("updatedReplicas") ?? 0;
        var total = deployment.Status.Number("replicas") ?? 0;
        var message = updated < wanted ? $"{updated} out of {wanted} new replicas have been updated"
            : total > updated ? $"{total - updated} old replicas are pending termination"
            : available * 100 < wanted * readyThreshold
                ? $"{available} of {wanted} (readyThreshold {readyThreshold}%) updated replicas are available"
                : null;
        if (message is null)
        {
            return Readiness.Ready;
        }

        // A rollout that makes its deadline again and again by losing and gaining pods is still stuck.
        var availability = Condition(deployment, "Available");
        var isStuck = availability.Text("status") == "False" && now - (availability.Time("lastTransitionTime") ?? now) > deadline;
        return isStuck ? new Readiness(false, false, $"waiting for rollout to finish: {message}") : Waiting(message);
    }

    static Readiness Waiting(string message) => new(false, true, $"waiting for rollout to finish: {message}");

    static System.Text.Json.Nodes.JsonObject? Condition(Resource deployment, string type) =>
        deployment.Status.Objects("conditions").FirstOrDefault(c => c.Text("type") == type);
}
