using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Node.Pods;

/// <summary>The status of a pod from the state of its containers.</summary>
static class PodStatus
{
    public static JsonObject Build(PodState state, JsonObject previous, DateTimeOffset now)
    {
        var main = state.Main.ToList();
        var restarts = state.Pod.Spec.Text("restartPolicy") ?? "Always";
        var phase = Phase(state, main, restarts);
        var isReady = state.IsInitialized && main.TrueForAll(c => c is { Phase: ContainerPhase.Running, IsReady: true }) && !state.Pod.IsDeleting;
        var status = new JsonObject
        {
            ["phase"] = phase,
            ["conditions"] = new JsonArray(
                Condition(previous, "PodScheduled", true, "", now),
                Condition(previous, "Initialized", state.IsInitialized, "ContainersNotInitialized", now),
                Condition(previous, "ContainersReady", isReady, "ContainersNotReady", now),
                Condition(previous, "Ready", isReady, phase == "Succeeded" ? "PodCompleted" : "ContainersNotReady", now)),
            ["hostIP"] = "127.0.0.1",
            ["podIP"] = state.Address,
            ["podIPs"] = new JsonArray(new JsonObject { ["ip"] = state.Address }),
            ["startTime"] = state.StartTime.ToTimestamp(),
            ["qosClass"] = "Burstable",
            ["containerStatuses"] = new JsonArray([.. main.Select(c => c.ToStatus())]),
        };
        if (state.Containers.Exists(c => c.IsInit))
        {
            status["initContainerStatuses"] = new JsonArray([.. state.Containers.Where(c => c.IsInit).Select(c => c.ToStatus())]);
        }

        return status;
    }

    static string Phase(PodState state, List<ContainerState> main, string restarts)
    {
        if (!state.IsInitialized)
        {
            var failed = state.Containers.Exists(c => c.IsInit && c.Phase == ContainerPhase.Terminated && c.ExitCode != 0);
            return failed && restarts == "Never" ? "Failed" : "Pending";
        }

        if (main.TrueForAll(c => c.Phase == ContainerPhase.Terminated) && (restarts != "Always" || state.Pod.IsDeleting))
        {
            if (main.TrueForAll(c => c.ExitCode == 0))
            {
                return "Succeeded";
            }

            return restarts == "Never" || state.Pod.IsDeleting ? "Failed" : "Running";
        }

        return main.Exists(c => c.Phase != ContainerPhase.Waiting || c.RestartCount > 0) ? "Running" : "Pending";
    }

    static JsonObject Condition(JsonObject previous, string type, bool value, string reason, DateTimeOffset now)
    {
        var text = value ? "True" : "False";
        var before = previous.Objects("conditions").FirstOrDefault(c => c.Text("type") == type);
        var condition = new JsonObject
        {
            ["type"] = type,
            ["status"] = text,
            ["lastProbeTime"] = null,
            ["lastTransitionTime"] = before.Text("status") == text ? before.Text("lastTransitionTime") : now.ToTimestamp(),
        };
        if (!value)
        {
            condition["reason"] = reason;
        }

        return condition;
    }
}
