using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.App.Cluster;
using Weir.Client;
using Weir.Controllers;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.ControlPlane;

/// <summary>
/// Gives every selector that Gateways name a gateway to select: a proxy and a service of type LoadBalancer in
/// <c>weir-system</c>, unless the user runs pods with those labels himself.
/// </summary>
sealed class GatewayProvisioner : Controller
{
    public const string Label = "weir.dev/gateway";

    /// <summary>What is added to a port that needs privileges to give the one that the proxy opens.</summary>
    const int PrivilegedPortOffset = 8000;

    static readonly ObjectKey Everything = new("", "gateways");

    readonly KubeClient client;
    readonly Informer gateways;
    readonly Informer pods;
    readonly ResourceKind deployments;
    readonly ResourceKind services;

    public GatewayProvisioner(KubeClient client, KindCatalog catalog, Informers informers, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        gateways = informers.For("networking.istio.io", "Gateway");
        pods = informers.For("", "Pod");
        deployments = catalog.Get("apps", "Deployment");
        services = catalog.Get("", "Service");
        gateways.OnChange(_ => Queue.Add(Everything));
    }

    protected override int Workers => 1;

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        var wanted = gateways.All.Where(g => !g.IsDeleting && g.Spec.TextMap("selector").Count > 0)
            .GroupBy(g => NameOf(g.Spec.TextMap("selector"))).ToDictionary(g => g.Key, g => g.ToList());
        foreach (var (name, group) in wanted)
        {
            var selector = group[0].Spec.TextMap("selector");
            if (!IsServedByUser(selector))
            {
                await EnsureAsync(name, selector, group, cancel);
            }
        }

        var existing = await client.ListAsync(services, Bootstrap.SystemNamespace, cancel, Label + "=true");
        foreach (var surplus in existing.Items.Where(s => !wanted.ContainsKey(s.Name)))
        {
            await client.DeleteAsync(services, surplus.Key, cancel);
            await client.DeleteAsync(deployments, surplus.Key, cancel);
        }

        return null;
    }

    bool IsServedByUser(IReadOnlyDictionary<string, string> selector)
    {
        var labels = LabelSelector.FromLabels(selector);
        return pods.All.Any(p => p.Namespace != Bootstrap.SystemNamespace && labels.Matches(p.Labels));
    }

    async Task EnsureAsync(string name, IReadOnlyDictionary<string, string> selector, List<Resource> group, CancellationToken cancel)
    {
        var key = new ObjectKey(Bootstrap.SystemNamespace, name);
        var ports = new JsonArray([.. group.SelectMany(g => g.Spec.Objects("servers")).Select(s => (int)(s.Number("port", "number") ?? 0)).Distinct().Order()
            .Select(port => new JsonObject
            {
                ["name"] = $"http-{port}",
                ["port"] = port,
                ["protocol"] = "TCP",
                ["targetPort"] = port < 1024 ? port + PrivilegedPortOffset : port,
            })]);
        var existing = await client.GetAsync(services, key, cancel);
        if (existing is null)
        {
            var service = Resource.New("v1", "Service", key.Namespace, key.Name);
            service.Metadata["labels"] = new JsonObject { [Label] = "true" };
            service.Json["spec"] = new JsonObject
            {
                ["type"] = "LoadBalancer",
                ["selector"] = new JsonObject(selector.Select(l => KeyValuePair.Create<string, JsonNode?>(l.Key, l.Value))),
                ["ports"] = ports,
            };
            (await client.CreateAsync(services, service, cancel)).OrThrow();
        }
        else if (!existing.Spec.Objects("ports").Select(p => p.Number("port")).SequenceEqual(ports.Select(p => p.Number("port"))))
        {
            await client.ChangeAsync(services, key, service =>
            {
                service.Spec["ports"] = ports.DeepClone();
                return true;
            }, cancel);
        }

        await client.ChangeAsync(services, key, service =>
        {
            if (service.Status.Objects("loadBalancer", "ingress").Any())
            {
                return false;
            }

            service.Json["status"] = new JsonObject
            {
                ["loadBalancer"] = new JsonObject { ["ingress"] = new JsonArray(new JsonObject { ["ip"] = "127.0.0.1" }) },
            };
            return true;
        }, cancel, isStatus: true);
        await client.CreateAsync(deployments, ProxyDeployments.Build(name, "router", selector), cancel);
    }

    /// <summary>The name Istio's users know for the usual selector, else one made of the labels.</summary>
    static string NameOf(IReadOnlyDictionary<string, string> selector)
    {
        if (selector.Count == 1 && selector.TryGetValue("istio", out var value))
        {
            return "istio-" + value;
        }

        var text = string.Join(',', selector.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));
        return "gateway-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 4));
    }
}
