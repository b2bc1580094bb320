using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Services;

/// <summary>Keeps one EndpointSlice and one Endpoints object for each Service with a selector.</summary>
public sealed class EndpointSliceController : Controller
{
    readonly KubeClient client;
    readonly Informer services;
    readonly Informer pods;
    readonly Informer slices;
    readonly ResourceKind endpoints;

    public EndpointSliceController(KubeClient client, KindCatalog catalog, Informers informers, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        endpoints = catalog.Get("", "Endpoints");
        services = Watch(informers.For("", "Service"));
        pods = informers.For("", "Pod");
        slices = informers.For("discovery.k8s.io", "EndpointSlice");
        WatchOwned(slices, "Service");
        pods.OnChange(change =>
        {
            foreach (var service in services.In(change.Resource.Namespace))
            {
                if (Selects(service, change.Resource))
                {
                    Queue.Add(service.Key);
                }
            }
        });
    }

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        var service = services.Get(key);
        if (service is null || service.IsDeleting || service.Spec.TextMap("selector").Count == 0)
        {
            return null;
        }

        var members = pods.In(key.Namespace)
            .Where(p => Selects(service, p) && p.Status.Text("podIP") is not null && p.Status.Text("phase") is not ("Succeeded" or "Failed"))
            .OrderBy(p => p.Name, StringComparer.Ordinal).ToList();
        await WriteAsync(slices.Kind, BuildSlice(service, members), slices.Get(new ObjectKey(key.Namespace, SliceName(service))), cancel);
        await WriteAsync(endpoints, BuildEndpoints(service, members), await client.GetAsync(endpoints, key, cancel), cancel);
        return null;
    }

    static string SliceName(Resource service) => service.Name + "-weir";

    static bool Selects(Resource service, Resource pod)
    {
        var selector = service.Spec.TextMap("selector");
        return selector.Count > 0 && pod.Namespace == service.Namespace && LabelSelector.FromLabels(selector).Matches(pod.Labels);
    }

    async Task WriteAsync(ResourceKind kind, Resource wanted, Resource? current, CancellationToken cancel)
    {
        if (current is null)
        {
            await client.CreateAsync(kind, wanted, cancel);
            return;
        }

        if (new[] { "endpoints", "ports", "subsets" }.Any(f => !JsonNode.DeepEquals(wanted.Json[f], current.Json[f])))
        {
            (await client.ReplaceAsync(kind, wanted, cancel)).OrThrow();
        }
    }

    static Resource BuildSlice(Resource service, List<Resource> members)
    {
        var slice = Resource.New("discovery.k8s.io/v1", "EndpointSlice", service.Namespace, SliceName(service)).OwnedBy(service);
        var labels = new JsonObject();
        foreach (var (name, value) in service.Labels)
        {
            labels[name] = value;
        }

        labels["kubernetes.io/service-name"] = service.Name;
        labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io";
        slice.Metadata["labels"] = labels;
        slice.Json["addressType"] = "IPv4";
        slice.Json["ports"] = new JsonArray([.. Ports(service, members).Select(p => new JsonObject
        {
            ["name"] = p.Port.Text("name") ?? "",
            ["port"] = p.Number,
            ["protocol"] = p.Port.Text("protocol") ?? "TCP",
        })]);
        slice.Json["endpoints"] = new JsonArray([.. members.Select(pod => new JsonObject
        {
            ["addresses"] = new JsonArray(pod.Status.Text("podIP")),
            ["conditions"] = new JsonObject
            {
                ["ready"] = IsReady(service, pod) && !pod.IsDeleting,
                ["serving"] = IsReady(service, pod),
                ["terminating"] = pod.IsDeleting,
            },
            ["nodeName"] = pod.Spec.Text("nodeName"),
            ["targetRef"] = TargetRef(pod),
        })]);
        return slice;
    }

    static Resource BuildEndpoints(Resource service, List<Resource> members)
    {
        var result = Resource.New("v1", "Endpoints", service.Namespace, service.Name).OwnedBy(service);
        JsonArray Addresses(bool ready) => new([.. members.Where(p => (IsReady(service, p) && !p.IsDeleting) == ready).Select(p => new JsonObject
        {
            ["ip"] = p.Status.Text("podIP"),
            ["targetRef"] = TargetRef(p),
        })]);
        var subset = new JsonObject
        {
            ["ports"] = new JsonArray([.. Ports(service, members).Select(p => new JsonObject
            {
                ["name"] = p.Port.Text("name"),
                ["port"] = p.Number,
                ["protocol"] = p.Port.Text("protocol") ?? "TCP",
            })]),
        };
        foreach (var (name, ready) in new[] { ("addresses", true), ("notReadyAddresses", false) })
        {
            if (Addresses(ready) is { Count: > 0 } list)
            {
                subset[name] = list;
            }
        }

        result.Json["subsets"] = members.Count == 0 ? new JsonArray() : new JsonArray(subset);
        return result;
    }

    /// <summary>Named target ports are looked up in the pods; a name that no pod has leaves the port out.</summary>
    static IEnumerable<(JsonObject Port, int Number)> Ports(Resource service, List<Resource> members)
    {
        foreach (var port in service.Spec.Objects("ports"))
        {
            var target = port.Text("targetPort") ?? port.Text("port")!;
            if (int.TryParse(target, out var number))
            {
                yield return (port, number);
            }
            else if (members.SelectMany(p => p.Spec.Objects("containers")).SelectMany(c => c.Objects("ports"))
                .FirstOrDefault(p => p.Text("name") == target)?.Number("containerPort") is { } named)
            {
                yield return (port, (int)named);
            }
        }
    }

    static bool IsReady(Resource service, Resource pod) =>
        service.Spec.Flag("publishNotReadyAddresses")
        || pod.Status.Objects("conditions").Any(c => c.Text("type") == "Ready" && c.Text("status") == "True");

    static JsonObject TargetRef(Resource pod) =>
        new() { ["kind"] = "Pod", ["namespace"] = pod.Namespace, ["name"] = pod.Name, ["uid"] = pod.Uid };
}
