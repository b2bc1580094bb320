using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Values;

namespace Weir.Node.Workloads;

/// <summary>The status of a deployment from its ReplicaSets; what <c>kubectl rollout status</c> and release controllers read.</summary>
public static class DeploymentStatus
{
    /// <param name="again">When the progress deadline is next worth looking at.</param>
    public static JsonObject Build(
        Resource deployment, Resource? current, IReadOnlyList<Resource> old, JsonObject previous, DateTimeOffset now, out TimeSpan? again)
    {
        static long Sum(IEnumerable<Resource> sets, string field) => sets.Sum(r => r.Status.Number(field) ?? 0);
        Resource[] all = current is null ? [.. old] : [current, .. old];
        var replicas = deployment.Spec.Number("replicas") ?? 1;
        var total = Sum(all, "replicas");
        var updated = current?.Status.Number("replicas") ?? 0;
        var available = Sum(all, "availableReplicas");
        var status = new JsonObject { ["observedGeneration"] = deployment.Generation };
        void Count(string name, long value)
        {
            // As the Kubernetes API: a count of zero is left out.
            if (value > 0)
            {
                status[name] = value;
            }
        }

        Count("replicas", total);
        Count("updatedReplicas", updated);
        Count("readyReplicas", Sum(all, "readyReplicas"));
        Count("availableReplicas", available);
        Count("unavailableReplicas", Math.Max(0, Math.Max(total, replicas) - available));
        var unavailable = deployment.Spec.Text("strategy", "type") == "Recreate" ? 0
            : IntOrPercent.Resolve(deployment.Spec.At("strategy", "rollingUpdate", "maxUnavailable"), (int)replicas, roundUp: false, 0);
        var isAvailable = available >= replicas - unavailable;
        status["conditions"] = new JsonArray(
            Condition(previous, "Available", isAvailable ? "True" : "False",
                isAvailable ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                isAvailable ? "Deployment has minimum availability." : "Deployment does not have minimum availability.", now, false),
            Progressing(deployment, current, previous, status, updated == replicas && available == replicas && total == replicas, now, out again));
        return status;
    }

    static JsonObject Progressing(
        Resource deployment, Resource? current, JsonObject previous, JsonObject status, bool isComplete, DateTimeOffset now, out TimeSpan? again)
    {
        again = null;
        var before = previous.Objects("conditions").FirstOrDefault(c => c.Text("type") == "Progressing");
        if (isComplete && current is not null)
        {
            return Condition(previous, "Progressing", "True", "NewReplicaSetAvailable",
                $"ReplicaSet \"{current.Name}\" has successfully progressed.", now, false);
        }

        var message = current is null ? "Deployment is paused" : $"ReplicaSet \"{current.Name}\" is progressing.";
        var isNewRollout = before is null || before.Text("reason") == "NewReplicaSetAvailable" || before.Text("message")?.Contains($"\"{current?.Name}\"", StringComparison.Ordinal) != true;
        if (isNewRollout || HasProgressed(previous, status))
        {
            again = Deadline(deployment);
            return Condition(previous, "Progressing", "True", isNewRollout ? "NewReplicaSetCreated" : "ReplicaSetUpdated", message, now, true);
        }

        var since = before.Time("lastUpdateTime") ?? now;
        if (now - since < Deadline(deployment))
        {
            again = Deadline(deployment) - (now - since) + TimeSpan.FromMilliseconds(100);
            return before!.DeepClone().AsObject();
        }

        return Condition(previous, "Progressing", "False", "ProgressDeadlineExceeded",
            $"ReplicaSet \"{current?.Name}\" has timed out progressing.", now, false);
    }

    static TimeSpan Deadline(Resource deployment) => TimeSpan.FromSeconds(deployment.Spec.Number("progressDeadlineSeconds") ?? 600);

    static bool HasProgressed(JsonObject previous, JsonObject status)
    {
        static long Get(JsonObject s, string name) => s.Number(name) ?? 0;
        return Get(status, "updatedReplicas") > Get(previous, "updatedReplicas")
            || Get(status, "readyReplicas") > Get(previous, "readyReplicas")
            || Get(status, "availableReplicas") > Get(previous, "availableReplicas")
            || Get(status, "replicas") - Get(status, "updatedReplicas") < Get(previous, "replicas") - Get(previous, "updatedReplicas");
    }

    static JsonObject Condition(JsonObject previous, string type, string value, string reason, string message, DateTimeOffset now, bool touch)
    {
        var before = previous.Objects("conditions").FirstOrDefault(c => c.Text("type") == type);
        var isSame = before.Text("status") == value;
        var isUnchanged = isSame && before.Text("reason") == reason && before.Text("message") == message;
        return new JsonObject
        {
            ["type"] = type,
            ["status"] = value,
            ["lastUpdateTime"] = isUnchanged && !touch ? before.Text("lastUpdateTime") : now.ToTimestamp(),
            ["lastTransitionTime"] = isSame ? before.Text("lastTransitionTime") : now.ToTimestamp(),
            ["reason"] = reason,
            ["message"] = message,
        };
    }
}
