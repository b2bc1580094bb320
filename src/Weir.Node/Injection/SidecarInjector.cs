using System.Text.Json.Nodes;
using Weir.ApiServer.Requests;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Injection;

/// <summary>
/// Adds the proxy to pods whose namespace has the label <c>istio-injection=enabled</c>, or that say so themselves by the label or
/// annotation <c>sidecar.istio.io/inject</c>, which goes before the namespace's.
/// </summary>
public sealed class SidecarInjector(Func<string, Resource?> namespaceOf, string proxyImage) : IAdmission
{
    public const string ContainerName = "istio-proxy";
    const string Inject = "sidecar.istio.io/inject";

    /// <summary>Where the proxy takes outbound requests, on the application's own address.</summary>
    public const int OutboundPort = 15001;

    /// <summary>Readiness and metrics, on the pod's address.</summary>
    public const int StatusPort = 15020;

    public IEnumerable<Violation> Admit(ResourceKind kind, Resource resource, Resource? old)
    {
        if (kind.Kind == "Pod" && old is null && IsWanted(resource))
        {
            InjectInto(resource);
        }

        return [];
    }

    bool IsWanted(Resource pod)
    {
        if (pod.Spec.Flag("hostNetwork") || pod.Spec.Objects("containers").Any(c => c.Text("name") == ContainerName))
        {
            return false;
        }

        var own = pod.Labels.GetValueOrDefault(Inject) ?? pod.Annotations.GetValueOrDefault(Inject);
        return own is not null ? own == "true" : namespaceOf(pod.Namespace)?.Labels.GetValueOrDefault("istio-injection") == "enabled";
    }

    void InjectInto(Resource pod)
    {
        var containers = (JsonArray)pod.Spec["containers"]!;
        foreach (var container in containers.OfType<JsonObject>())
        {
            AddProxyVariables(container);
        }

        containers.Add(ProxyContainer());
        var annotations = pod.Metadata["annotations"] as JsonObject ?? [];
        annotations["sidecar.istio.io/status"] = "{\"containers\":[\"istio-proxy\"]}";
        annotations["kubectl.kubernetes.io/default-container"] ??= containers[0].Text("name");
        pod.Metadata["annotations"] = annotations;
        var labels = pod.Metadata["labels"] as JsonObject ?? [];
        labels["service.istio.io/canonical-name"] ??= pod.Labels.GetValueOrDefault("app") ?? pod.Controller?.Name ?? pod.Name;
        labels["service.istio.io/canonical-revision"] ??= pod.Labels.GetValueOrDefault("version") ?? "latest";
        pod.Metadata["labels"] = labels;
    }

    JsonObject ProxyContainer() => new()
    {
        ["name"] = ContainerName,
        ["image"] = proxyImage,
        ["imagePullPolicy"] = "IfNotPresent",
        ["terminationMessagePath"] = "/dev/termination-log",
        ["terminationMessagePolicy"] = "File",
        ["args"] = new JsonArray("sidecar"),
        ["ports"] = new JsonArray(new JsonObject { ["name"] = "http-envoy-prom", ["containerPort"] = StatusPort, ["protocol"] = "TCP" }),
        ["env"] = new JsonArray(
            FieldVariable("POD_NAME", "metadata.name"), FieldVariable("POD_NAMESPACE", "metadata.namespace"),
            FieldVariable("POD_IP", "status.podIP")),
        ["readinessProbe"] = new JsonObject
        {
            ["httpGet"] = new JsonObject { ["path"] = "/healthz/ready", ["port"] = StatusPort, ["scheme"] = "HTTP" },
            ["periodSeconds"] = 1,
            ["timeoutSeconds"] = 3,
            ["successThreshold"] = 1,
            ["failureThreshold"] = 30,
        },
    };

    static JsonObject FieldVariable(string name, string path) => new()
    {
        ["name"] = name,
        ["valueFrom"] = new JsonObject { ["fieldRef"] = new JsonObject { ["fieldPath"] = path } },
    };

    /// <summary>Ordinary HTTP clients honour these; what an application sets itself goes before.</summary>
    static void AddProxyVariables(JsonObject container)
    {
        var variables = container["env"] as JsonArray ?? [];
        var own = variables.Select(v => v.Text("name")).ToHashSet();
        var proxy = $"http://$({Pods.ContainerEnvironment.ApplicationAddressVariable}):{OutboundPort}";
        foreach (var (name, value) in new[]
        {
            ("HTTP_PROXY", proxy), ("http_proxy", proxy), ("NO_PROXY", "localhost,127.0.0.1"), ("no_proxy", "localhost,127.0.0.1"),
        })
        {
            if (!own.Contains(name))
            {
                variables.Add(new JsonObject { ["name"] = name, ["value"] = value });
            }
        }

        container["env"] = variables;
    }
}
