using System.Text.Json.Nodes;
using Weir.Resources.Schemas;
using Weir.Resources.Values;

namespace Weir.Resources.Kinds;

/// <summary>The core group, and the small groups that belong to it: discovery, coordination, events, apiextensions.</summary>
static class CoreKinds
{
    static readonly string[] AllCategory = ["all"];

    public static IEnumerable<ResourceKind> All(Func<string, Schema> root)
    {
        yield return Core("Namespace", "namespaces", root) with
        {
            ShortNames = ["ns"],
            IsNamespaced = false,
            HasStatus = true,
            Columns = [Column.Name, Column.Text("Status", r => r.IsDeleting ? "Terminating" : r.Status.Text("phase") ?? "Active"), Column.Age],
        };
        yield return Core("Pod", "pods", root) with
        {
            ShortNames = ["po"],
            Categories = AllCategory,
            HasStatus = true,
            Columns = PodColumns.All,
            Rules = r => PodRules.Check(r.Spec, "spec"),
            UpdateRules = PodRules.CheckUpdate,
            Defaults = r => PodRules.ApplyDefaults(r.Spec),
        };
        yield return Core("Service", "services", root) with
        {
            ShortNames = ["svc"],
            Categories = AllCategory,
            HasStatus = true,
            Columns = ServiceColumns,
            Rules = CheckService,
            UpdateRules = (old, changed) => old.Spec.Text("clusterIP") is { Length: > 0 } was
                && changed.Spec.Text("clusterIP") is var now && was != now && changed.Spec.Text("type") != "ExternalName"
                    ? [Violation.Invalid("spec.clusterIP", now, "field is immutable")] : [],
            Defaults = DefaultService,
        };
        yield return Core("Endpoints", "endpoints", root) with
        {
            ShortNames = ["ep"],
            Columns = [Column.Name, Column.Text("Endpoints", DescribeEndpoints), Column.Age],
        };
        yield return Core("ConfigMap", "configmaps", root) with
        {
            ShortNames = ["cm"],
            Columns = [Column.Name, Column.Count("Data", CountData), Column.Age],
        };
        yield return Core("Secret", "secrets", root) with
        {
            Columns = [Column.Name, Column.At("Type", "type"), Column.Count("Data", CountData), Column.Age],
            Defaults = MoveStringData,
            Rules = CheckSecret,
        };
        yield return Core("ServiceAccount", "serviceaccounts", root) with
        {
            ShortNames = ["sa"],
            Columns = [Column.Name, Column.Count("Secrets", r => r.Json.Objects("secrets").Count()), Column.Age],
        };
        yield return Core("Node", "nodes", root) with
        {
            ShortNames = ["no"],
            IsNamespaced = false,
            HasStatus = true,
            Columns =
            [
                Column.Name,
                Column.Text("Status", r => r.Status.Objects("conditions").Any(c => c.Text("type") == "Ready" && c.Text("status") == "True")
                    ? "Ready" : "NotReady"),
                Column.Text("Roles", r => Join(r.Labels.Keys.Where(k => k.StartsWith("node-role.kubernetes.io/", StringComparison.Ordinal))
                    .Select(k => k["node-role.kubernetes.io/".Length..]))),
                Column.Age,
                Column.At("Version", "status", "nodeInfo", "kubeletVersion"),
                new Column("Internal-IP", "string", 1, (r, _) => r.Status.Objects("addresses")
                    .FirstOrDefault(a => a.Text("type") == "InternalIP").Text("address") ?? "<none>"),
                new Column("OS-Image", "string", 1, (r, _) => r.Status.Text("nodeInfo", "osImage")),
                new Column("Kernel-Version", "string", 1, (r, _) => r.Status.Text("nodeInfo", "kernelVersion")),
            ],
        };
        yield return Core("Event", "events", root) with { ShortNames = ["ev"], Columns = EventColumns };
        yield return Core("Event", "events", root) with
        {
            Group = "events.k8s.io",
            ShortNames = ["ev"],
            Columns = EventColumns,
            Schema = new Schema(SchemaType.Any),
            ToStored = (json, _) => Events.ToCore(json),
            FromStored = (json, _) => Events.FromCore(json),
        };
        yield return Core("EndpointSlice", "endpointslices", root) with
        {
            Group = "discovery.k8s.io",
            Columns =
            [
                Column.Name, Column.At("AddressType", "addressType"),
                Column.Text("Ports", r => Join(r.Json.Objects("ports").Select(p => p.Text("port") ?? "*"), "<unset>")),
                Column.Text("Endpoints", r => Join(r.Json.Objects("endpoints").SelectMany(e => e.Texts("addresses")), "<unset>")), Column.Age,
            ],
        };
        yield return Core("Lease", "leases", root) with
        {
            Group = "coordination.k8s.io",
            Columns = [Column.Name, Column.At("Holder", "spec", "holderIdentity"), Column.Age],
        };
        yield return Core("CustomResourceDefinition", "customresourcedefinitions", root) with
        {
            Group = "apiextensions.k8s.io",
            ShortNames = ["crd", "crds"],
            Categories = ["api-extensions"],
            IsNamespaced = false,
            HasStatus = true,
            Columns = [Column.Name, Column.Text("Created At", r => r.Created.ToTimestamp())],
        };
    }

    static ResourceKind Core(string kind, string plural, Func<string, Schema> root) =>
        new() { Group = "", Kind = kind, Plural = plural, Versions = ["v1"], Schema = root(kind) };

    static readonly Column[] ServiceColumns =
    [
        Column.Name, Column.At("Type", "spec", "type"),
        Column.Text("Cluster-IP", r => r.Spec.Text("clusterIP") ?? "<none>"),
        Column.Text("External-IP", r => r.Spec.Text("type") switch
        {
            "ExternalName" => r.Spec.Text("externalName"),
            "LoadBalancer" => Join(r.Status.Objects("loadBalancer", "ingress").Select(i => i.Text("ip") ?? i.Text("hostname") ?? ""), "<pending>"),
            _ => Join(r.Spec.Texts("externalIPs")),
        }),
        Column.Text("Port(s)", r => Join(r.Spec.Objects("ports").Select(p => p.Number("nodePort") is > 0 and var node
            ? $"{p.Text("port")}:{node}/{p.Text("protocol")}" : $"{p.Text("port")}/{p.Text("protocol")}"))),
        Column.Age,
        Column.Text("Selector", r => Join(r.Spec.TextMap("selector").Select(p => $"{p.Key}={p.Value}")), 1),
    ];

    static readonly Column[] EventColumns =
    [
        new("Last Seen", "string", 0, (r, now) => (r.Json.Time("lastTimestamp") ?? r.Json.Time("deprecatedLastTimestamp")
            ?? r.Json.Time("eventTime")) is { } time ? HumanDuration.Format(now - time) : "<unknown>"),
        Column.At("Type", "type"), Column.At("Reason", "reason"),
        Column.Text("Object", r => Subject(r) is { } o ? $"{o.Text("kind")?.ToLowerInvariant()}/{o.Text("name")}" : ""),
        Column.Text("Subobject", r => Subject(r).Text("fieldPath"), 1),
        Column.Text("Source", r => Join(new[] { r.Json.Text("source", "component") ?? r.Json.Text("reportingComponent"),
            r.Json.Text("source", "host") }.OfType<string>(), ""), 1),
        Column.Text("Message", r => (r.Json.Text("message") ?? r.Json.Text("note"))?.Trim()),
        new("First Seen", "string", 1, (r, now) => HumanDuration.Format(now - (r.Json.Time("firstTimestamp") ?? r.Created))),
        Column.Text("Count", r => r.Json.Text("count") ?? "1", 1),
        Column.Text("Name", r => r.Name, 1),
    ];

    static JsonObject? Subject(Resource e) => (e.Json["involvedObject"] ?? e.Json["regarding"]) as JsonObject;

    static long CountData(Resource r) => ((r.Json["data"] as JsonObject)?.Count ?? 0) + ((r.Json["binaryData"] as JsonObject)?.Count ?? 0);

    static string DescribeEndpoints(Resource r) => Join(r.Json.Objects("subsets").SelectMany(s => s.Objects("addresses")
        .SelectMany(a => s.Objects("ports").Select(p => $"{a.Text("ip")}:{p.Text("port")}"))));

    internal static string Join(IEnumerable<string> parts, string whenEmpty = "<none>")
    {
        var text = string.Join(',', parts);
        return text.Length == 0 ? whenEmpty : text;
    }

    static void DefaultService(Resource service)
    {
        foreach (var port in service.Spec.Objects("ports"))
        {
            if (port["targetPort"] is null && service.Spec.Text("clusterIP") != "None")
            {
                port["targetPort"] = port["port"]?.DeepClone();
            }
        }
    }

    static IEnumerable<Violation> CheckService(Resource service)
    {
        if (service.Json["spec"] is null)
        {
            yield return Violation.Required("spec");
            yield break;
        }

        var ports = service.Spec.Objects("ports").ToList();
        if (ports.Count == 0 && service.Spec.Text("type") != "ExternalName" && service.Spec.Text("clusterIP") != "None")
        {
            yield return Violation.Required("spec.ports");
        }

        var names = new HashSet<string>();
        for (var i = 0; i < ports.Count; i++)
        {
            var name = ports[i].Text("name") ?? "";
            if (name.Length == 0 && ports.Count > 1)
            {
                yield return Violation.Required($"spec.ports[{i}].name");
            }
            else if (!names.Add(name))
            {
                yield return new Violation($"spec.ports[{i}].name", ViolationKind.Duplicate, $"Duplicate value: \"{name}\"");
            }
        }
    }

    static void MoveStringData(Resource secret)
    {
        if (secret.Json["stringData"] is JsonObject clear)
        {
            var data = secret.Json["data"] as JsonObject ?? [];
            foreach (var (key, value) in clear)
            {
                data[key] = Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(value.Text() ?? ""));
            }

            secret.Json.Remove("stringData");
            secret.Json["data"] = data;
        }
    }

    static IEnumerable<Violation> CheckSecret(Resource secret)
    {
        foreach (var (key, value) in secret.Json.TextMap("data"))
        {
            if (!Convert.TryFromBase64String(value, new byte[value.Length], out _))
            {
                // The value stays out of the message: it may be a secret in clear text.
                yield return new Violation($"data[{key}]", ViolationKind.Invalid, "Invalid value: must be base64");
            }
        }
    }
}
