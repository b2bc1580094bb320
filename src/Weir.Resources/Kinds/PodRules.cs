using System.Text.Json.Nodes;

namespace Weir.Resources.Kinds;

/// <summary>Rules and defaults of a pod spec, wherever it stands (pods and templates).</summary>
static class PodRules
{
    public static IEnumerable<Violation> Check(JsonObject spec, string path)
    {
        if (!spec.Objects("containers").Any())
        {
            yield return Violation.Required($"{path}.containers");
        }

        foreach (var list in new[] { "containers", "initContainers" })
        {
            foreach (var (container, i) in spec.Objects(list).Select((c, i) => (c, i)))
            {
                if (string.IsNullOrWhiteSpace(container.Text("image")))
                {
                    yield return Violation.Required($"{path}.{list}[{i}].image");
                }

                foreach (var probe in new[] { "livenessProbe", "readinessProbe", "startupProbe" })
                {
                    if (container[probe] is JsonObject p)
                    {
                        var handlers = new[] { "httpGet", "tcpSocket", "exec", "grpc" }.Count(h => p[h] is not null);
                        if (handlers == 0)
                        {
                            yield return Violation.Required($"{path}.{list}[{i}].{probe}", "must specify a handler type");
                        }
                        else if (handlers > 1)
                        {
                            yield return Violation.Forbidden($"{path}.{list}[{i}].{probe}", "may not specify more than 1 handler type");
                        }
                    }
                }
            }
        }

        var volumes = spec.Objects("volumes").Select(v => v.Text("name")).ToHashSet();
        foreach (var (container, i) in spec.Objects("containers").Select((c, i) => (c, i)))
        {
            foreach (var (mount, j) in container.Objects("volumeMounts").Select((m, j) => (m, j)))
            {
                if (!volumes.Contains(mount.Text("name")))
                {
                    yield return new Violation($"{path}.containers[{i}].volumeMounts[{j}].name", ViolationKind.NotFound,
                        $"Not found: \"{mount.Text("name")}\"");
                }
            }
        }
    }

    /// <summary>A pod's spec cannot change, save for images, deadlines and tolerations.</summary>
    public static IEnumerable<Violation> CheckUpdate(Resource old, Resource changed)
    {
        if (!JsonNode.DeepEquals(Fixed(old), Fixed(changed)))
        {
            yield return Violation.Forbidden("spec",
                "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
        }
    }

    public static void ApplyDefaults(JsonObject spec)
    {
        foreach (var container in spec.Objects("containers").Concat(spec.Objects("initContainers")))
        {
            container["imagePullPolicy"] ??= container.Text("image") is { } image
                && (image.EndsWith(":latest", StringComparison.Ordinal) || !image[(image.LastIndexOf('/') + 1)..].Contains(':'))
                    ? "Always" : "IfNotPresent";
        }
    }

    static JsonObject Fixed(Resource pod)
    {
        var spec = pod.Spec.DeepClone().AsObject();
        foreach (var changeable in new[] { "activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName" })
        {
            spec.Remove(changeable);
        }

        foreach (var container in spec.Objects("containers").Concat(spec.Objects("initContainers")))
        {
            container.Remove("image");
        }

        return spec;
    }
}
