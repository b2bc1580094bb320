using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Delivery.Targets;

/// <summary>The three services of a release: the name that clients use, and one each for the primary and the canary.</summary>
public sealed class CanaryServices(KubeClient client, KindCatalog catalog)
{
    readonly ResourceKind services = catalog.Get("", "Service");

    /// <summary>Of the service that clients use.</summary>
    public static string ApexName(Resource canary) => canary.Spec.Text("service", "name") ?? canary.Spec.Text("targetRef", "name")!;

    public async Task EnsureVariantsAsync(Resource canary, Resource target, CancellationToken cancel)
    {
        var (label, value) = PrimaryDeployment.SelectorOf(target)!.Value;
        var apex = ApexName(canary);
        await EnsureAsync(canary, target, apex + "-canary", label, value, canary.Spec.At("service", "canary"), cancel);
        await EnsureAsync(canary, target, apex + "-primary", label, value + "-primary", canary.Spec.At("service", "primary"), cancel);
    }

    /// <summary>Once the primary serves: clients' requests to the service itself go to it.</summary>
    public Task EnsureApexAsync(Resource canary, Resource target, CancellationToken cancel)
    {
        var (label, value) = PrimaryDeployment.SelectorOf(target)!.Value;
        return EnsureAsync(canary, target, ApexName(canary), label, value + "-primary", canary.Spec.At("service", "apex"), cancel);
    }

    /// <summary>A service of the user's leads to the target again; one that was made for the release goes with it.</summary>
    public async Task RestoreApexAsync(Resource canary, Resource target, CancellationToken cancel)
    {
        var (label, value) = PrimaryDeployment.SelectorOf(target)!.Value;
        await client.ChangeAsync(services, new ObjectKey(canary.Namespace, ApexName(canary)), service =>
        {
            if (service.Controller?.Uid == canary.Uid)
            {
                return false;
            }

            service.Spec["selector"] = new JsonObject { [label] = value };
            return true;
        }, cancel);
    }

    async Task EnsureAsync(
        Resource canary, Resource target, string name, string label, string value, JsonNode? custom, CancellationToken cancel)
    {
        var key = new ObjectKey(canary.Namespace, name);
        var ports = Ports(canary.Spec["service"], target);
        var selector = new JsonObject { [label] = value };
        var existing = await client.GetAsync(services, key, cancel);
        if (existing is null)
        {
            var created = Resource.New("v1", "Service", key.Namespace, key.Name).OwnedBy(canary);
            created.Metadata["labels"] = Merge(new JsonObject { [label] = name }, custom.At("labels"));
            created.Metadata["annotations"] = Merge(OwnAnnotations(), custom.At("annotations"));
            created.Json["spec"] = new JsonObject { ["type"] = "ClusterIP", ["selector"] = selector, ["ports"] = ports };
            if (canary.Spec.Flag("service", "headless"))
            {
                created.Spec["clusterIP"] = "None";
            }

            if (canary.Spec.Text("service", "trafficDistribution") is { } distribution)
            {
                created.Spec["trafficDistribution"] = distribution;
            }

            (await client.CreateAsync(services, created, cancel)).OrThrow();
            return;
        }

        if (SamePorts(existing.Spec["ports"], ports) && JsonNode.DeepEquals(existing.Spec["selector"], selector))
        {
            return;
        }

        await client.ChangeAsync(services, key, service =>
        {
            // A service of the user's keeps what it says about itself; it only points elsewhere.
            var annotations = service.Metadata["annotations"] as JsonObject ?? [];
            service.Metadata["annotations"] = Merge(annotations, OwnAnnotations());
            KeepNodePorts(service.Spec["ports"], ports);
            service.Spec["ports"] = ports.DeepClone();
            service.Spec["selector"] = selector.DeepClone();
            return true;
        }, cancel);
    }

    /// <summary>Tools that would set the services back are told to leave them.</summary>
    static JsonObject OwnAnnotations() => new()
    {
        ["kustomize.toolkit.fluxcd.io/reconcile"] = "disabled",
        ["helm.toolkit.fluxcd.io/driftDetection"] = "disabled",
    };

    static JsonArray Ports(JsonNode? service, Resource target)
    {
        var port = service.Number("port") ?? 80;
        var main = new JsonObject
        {
            ["name"] = service.Text("portName") ?? "http",
            ["port"] = port,
            ["protocol"] = "TCP",
            ["targetPort"] = service.At("targetPort")?.DeepClone() ?? port,
        };
        if (service.Text("appProtocol") is { } protocol)
        {
            main["appProtocol"] = protocol;
        }

        var ports = new JsonArray(main);
        if (service.Flag("portDiscovery"))
        {
            foreach (var container in target.Spec.Objects("template", "spec", "containers").Where(c => c.Text("name") is not ("istio-proxy" or "envoy")))
            {
                foreach (var (declared, index) in container.Objects("ports").Select((p, i) => (p, i)))
                {
                    var isMain = declared.Number("containerPort") == port || declared.Text("name") == service.Text("targetPort")
                        || declared.Number("containerPort") == service.Number("targetPort");
                    if (!isMain)
                    {
                        ports.Add(new JsonObject
                        {
                            ["name"] = declared.Text("name") ?? $"tcp-{container.Text("name")}-{index}",
                            ["port"] = declared["containerPort"]!.DeepClone(),
                            ["protocol"] = declared.Text("protocol") ?? "TCP",
                            ["targetPort"] = declared["containerPort"]!.DeepClone(),
                        });
                    }
                }
            }
        }

        return ports;
    }

    static bool SamePorts(JsonNode? existing, JsonArray wanted)
    {
        var stripped = existing?.DeepClone() as JsonArray ?? [];
        foreach (var port in stripped.OfType<JsonObject>())
        {
            port.Remove("nodePort");
        }

        return JsonNode.DeepEquals(stripped, wanted);
    }

    static void KeepNodePorts(JsonNode? existing, JsonArray wanted)
    {
        foreach (var port in wanted.OfType<JsonObject>())
        {
            if ((existing as JsonArray)?.OfType<JsonObject>().FirstOrDefault(p => p.Number("port") == port.Number("port"))?["nodePort"] is { } nodePort)
            {
                port["nodePort"] = nodePort.DeepClone();
            }
        }
    }

    static JsonObject Merge(JsonObject into, JsonNode? more)
    {
        foreach (var (name, value) in more as JsonObject ?? [])
        {
            into[name] = value?.DeepClone();
        }

        return into;
    }
}
