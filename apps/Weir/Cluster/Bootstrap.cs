using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.Cluster;

/// <summary>The objects that a cluster has from its first moment.</summary>
static class Bootstrap
{
    public const string NodeName = "weir";
    public const string SystemNamespace = "weir-system";

    public static async Task EnsureAsync(KubeClient client, KindCatalog catalog, TimeProvider time, CancellationToken cancel)
    {
        foreach (var ns in new[] { "default", "kube-system", SystemNamespace })
        {
            await CreateAsync(client, catalog.Get("", "Namespace"), Resource.New("v1", "Namespace", null, ns), cancel);
        }

        await EnsureNodeAsync(client, catalog.Get("", "Node"), time, cancel);
        foreach (var kind in catalog.All.Where(k => !k.IsBuiltIn))
        {
            await CreateAsync(client, catalog.Get("apiextensions.k8s.io", "CustomResourceDefinition"), Definition(kind), cancel);
        }

        await CreateAsync(client, catalog.Get("apps", "Deployment"), ProxyDeployments.Build("node-proxy", "node", new Dictionary<string, string> { ["app"] = "node-proxy" }), cancel);
    }

    static async Task CreateAsync(KubeClient client, ResourceKind kind, Resource resource, CancellationToken cancel)
    {
        var result = await client.CreateAsync(kind, resource, cancel);
        if (result.Outcome != WriteOutcome.AlreadyExists)
        {
            result.OrThrow();
        }
    }

    static async Task EnsureNodeAsync(KubeClient client, ResourceKind nodes, TimeProvider time, CancellationToken cancel)
    {
        var node = Resource.New("v1", "Node", null, NodeName);
        node.Metadata["labels"] = new JsonObject { ["kubernetes.io/hostname"] = NodeName, ["kubernetes.io/os"] = "linux", ["node-role.kubernetes.io/control-plane"] = "" };
        await CreateAsync(client, nodes, node, cancel);
        await client.ChangeAsync(nodes, node.Key, fresh =>
        {
            var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1024;
            var capacity = new JsonObject { ["cpu"] = $"{Environment.ProcessorCount}", ["memory"] = $"{memory}Ki", ["pods"] = "500" };
            fresh.Json["status"] = new JsonObject
            {
                ["capacity"] = capacity,
                ["allocatable"] = capacity.DeepClone(),
                ["conditions"] = new JsonArray(new JsonObject
                {
                    ["type"] = "Ready",
                    ["status"] = "True",
                    ["reason"] = "KubeletReady",
                    ["message"] = "weir runs pods as processes",
                    ["lastTransitionTime"] = time.GetUtcNow().ToTimestamp(),
                }),
                ["addresses"] = new JsonArray(new JsonObject { ["type"] = "InternalIP", ["address"] = "127.0.0.1" }),
                ["nodeInfo"] = new JsonObject
                {
                    ["kubeletVersion"] = "v1.33.0",
                    ["osImage"] = System.Runtime.InteropServices.RuntimeInformation.OSDescription,
                    ["kernelVersion"] = Environment.OSVersion.Version.ToString(),
                    ["operatingSystem"] = "linux",
                    ["architecture"] = "amd64",
                },
            };
            return true;
        }, cancel, isStatus: true);
    }

    /// <summary>So that tools which look for definitions find them; the kinds themselves are built in.</summary>
    static Resource Definition(ResourceKind kind)
    {
        var definition = Resource.New("apiextensions.k8s.io/v1", "CustomResourceDefinition", null, kind.QualifiedPlural);
        definition.Json["spec"] = new JsonObject
        {
            ["group"] = kind.Group,
            ["scope"] = kind.IsNamespaced ? "Namespaced" : "Cluster",
            ["names"] = new JsonObject { ["kind"] = kind.Kind, ["plural"] = kind.Plural, ["singular"] = kind.Singular },
            ["versions"] = new JsonArray([.. kind.Versions.Select((v, i) => new JsonObject { ["name"] = v, ["served"] = true, ["storage"] = i == 0 })]),
        };
        return definition;
    }
}

/// <summary>Deployments of proxies that stand beside no application.</summary>
static class ProxyDeployments
{
    public static Resource Build(string name, string role, IReadOnlyDictionary<string, string> labels)
    {
        JsonObject Labels() => new(labels.Select(l => KeyValuePair.Create<string, JsonNode?>(l.Key, l.Value)));
        JsonObject Field(string variable, string path) => new()
        {
            ["name"] = variable,
            ["valueFrom"] = new JsonObject { ["fieldRef"] = new JsonObject { ["fieldPath"] = path } },
        };
        var deployment = Resource.New("apps/v1", "Deployment", Bootstrap.SystemNamespace, name);
        deployment.Metadata["labels"] = Labels();
        deployment.Json["spec"] = new JsonObject
        {
            ["replicas"] = 1,
            ["selector"] = new JsonObject { ["matchLabels"] = Labels() },
            // One at a time: two pods cannot hold one port of the machine.
            ["strategy"] = new JsonObject { ["type"] = "Recreate" },
            ["template"] = new JsonObject
            {
                ["metadata"] = new JsonObject
                {
                    ["labels"] = Labels(),
                    ["annotations"] = new JsonObject { ["sidecar.istio.io/inject"] = "false" },
                },
                ["spec"] = new JsonObject
                {
                    ["containers"] = new JsonArray(new JsonObject
                    {
                        ["name"] = "istio-proxy",
                        ["image"] = BuiltInImages.Proxy,
                        ["imagePullPolicy"] = "IfNotPresent",
                        ["args"] = new JsonArray(role),
                        ["env"] = new JsonArray(Field("POD_NAME", "metadata.name"), Field("POD_NAMESPACE", "metadata.namespace"), Field("POD_IP", "status.podIP")),
                        ["readinessProbe"] = new JsonObject
                        {
                            ["httpGet"] = new JsonObject { ["path"] = "/healthz/ready", ["port"] = 15020 },
                            ["periodSeconds"] = 1,
                            ["failureThreshold"] = 30,
                        },
                    }),
                },
            },
        };
        return deployment;
    }
}
