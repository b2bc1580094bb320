using System.Text.Json.Nodes;
using Weir.Resources.Values;

namespace Weir.Resources.Kinds;

static class PodColumns
{
    public static readonly Column[] All =
    [
        Column.Name,
        Column.Text("Ready", r => $"{Statuses(r).Count(s => s.Flag("ready"))}/{r.Spec.Objects("containers").Count()}"),
        Column.Text("Status", Phase),
        new("Restarts", "string", 0, Restarts),
        Column.Age,
        Column.Text("IP", r => r.Status.Text("podIP") ?? "<none>", 1),
        Column.Text("Node", r => r.Spec.Text("nodeName") ?? "<none>", 1),
        Column.Text("Nominated Node", _ => "<none>", 1),
        Column.Text("Readiness Gates", _ => "<none>", 1),
    ];

    static IEnumerable<JsonObject> Statuses(Resource pod) => pod.Status.Objects("containerStatuses");

    /// <summary>The one word kubectl shows: the most telling reason among containers, else the phase.</summary>
    static string Phase(Resource pod)
    {
        var reason = pod.Status.Text("reason") ?? pod.Status.Text("phase") ?? "Pending";
        foreach (var (init, index) in pod.Status.Objects("initContainerStatuses").Select((s, i) => (s, i)))
        {
            if (init.At("state", "terminated") is { } ended && ended.Number("exitCode") == 0)
            {
                continue;
            }

            var why = init.Text("state", "waiting", "reason") ?? init.Text("state", "terminated", "reason");
            return why is null or "PodInitializing"
                ? $"Init:{index}/{pod.Spec.Objects("initContainers").Count()}" : $"Init:{why}";
        }

        foreach (var status in Statuses(pod).Reverse())
        {
            if (status.Text("state", "waiting", "reason") is { Length: > 0 } waiting)
            {
                reason = waiting;
            }
            else if (status.At("state", "terminated") is { } ended)
            {
                reason = ended.Text("reason") is { Length: > 0 } r ? r : $"ExitCode:{ended.Text("exitCode")}";
            }
        }

        return pod.IsDeleting ? "Terminating" : reason;
    }

    static JsonNode? Restarts(Resource pod, DateTimeOffset now)
    {
        var count = Statuses(pod).Sum(s => s.Number("restartCount") ?? 0);
        var last = Statuses(pod).Select(s => s.Time("lastState", "terminated", "finishedAt")).Max();
        return count > 0 && last is { } time ? $"{count} ({HumanDuration.Format(now - time)} ago)" : $"{count}";
    }
}
