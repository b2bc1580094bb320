using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Delivery.Targets;

/// <summary>
/// The config maps and secrets that a template refers to. The primary has copies of its own (<c>NAME-primary</c>), so that a
/// change reaches it only by a promotion.
/// </summary>
public sealed class ConfigTracker(KubeClient client, KindCatalog catalog)
{
    const string Disabled = "flagger.app/config-tracking";

    static readonly HashSet<string> TrackedSecretTypes =
        ["", "Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"];

    /// <summary>What is there, by <c>configmap/NAME</c> and <c>secret/NAME</c>, with the hash of its data.</summary>
    /// <exception cref="KubeApiException">Something the template cannot do without does not exist.</exception>
    public async Task<IReadOnlyDictionary<string, string>> FindAsync(Resource target, CancellationToken cancel) =>
        (await LoadAsync(target, cancel)).ToDictionary(c => NameOf(c.Kind, c.Name), c => ContentHash.Of(c.Resource.Json["data"]));

    /// <summary>Creates or refreshes the primary's copies.</summary>
    public async Task CopyAsync(Resource target, Resource owner, CancellationToken cancel)
    {
        foreach (var (kind, name, source) in await LoadAsync(target, cancel))
        {
            var copy = Resource.New("v1", kind.Kind, source.Namespace, name + "-primary").OwnedBy(owner);
            copy.Metadata["labels"] = source.Metadata["labels"]?.DeepClone();
            foreach (var field in new[] { "data", "binaryData", "type" })
            {
                if (source.Json[field] is { } value)
                {
                    copy.Json[field] = value.DeepClone();
                }
            }

            if (await client.GetAsync(kind, copy.Key, cancel) is null)
            {
                (await client.CreateAsync(kind, copy, cancel)).OrThrow();
            }
            else
            {
                (await client.ReplaceAsync(kind, copy, cancel)).OrThrow();
            }
        }
    }

    /// <summary>Points a template's references to the copies.</summary>
    public static void Rewrite(JsonNode? template, IReadOnlyDictionary<string, string> tracked)
    {
        foreach (var (kind, node, field, _) in References(template))
        {
            if (node.Text(field) is { } name && tracked.ContainsKey($"{kind.ToLowerInvariant()}/{name}"))
            {
                node[field] = name + "-primary";
            }
        }
    }

    async Task<List<(ResourceKind Kind, string Name, Resource Resource)>> LoadAsync(Resource target, CancellationToken cancel)
    {
        var found = new List<(ResourceKind, string, Resource)>();
        foreach (var group in References(target.Spec["template"]).GroupBy(r => (r.Kind, Name: r.Node.Text(r.Field) ?? "")))
        {
            var kind = catalog.Get("", group.Key.Kind);
            var resource = await client.GetAsync(kind, new ObjectKey(target.Namespace, group.Key.Name), cancel);
            if (resource is null)
            {
                if (group.Any(r => !r.IsOptional))
                {
                    throw new KubeApiException($"{kind.Plural} \"{group.Key.Name}\" not found");
                }

                continue;
            }

            var isTracked = resource.Annotations.GetValueOrDefault(Disabled) != "disabled"
                && (kind.Kind == "ConfigMap" || TrackedSecretTypes.Contains(resource.Json.Text("type") ?? ""));
            if (isTracked)
            {
                found.Add((kind, group.Key.Name, resource));
            }
        }

        return found;
    }

    static string NameOf(ResourceKind kind, string name) => $"{kind.Kind.ToLowerInvariant()}/{name}";

    static IEnumerable<(string Kind, JsonObject Node, string Field, bool IsOptional)> References(JsonNode? template)
    {
        foreach (var volume in template.Objects("spec", "volumes"))
        {
            foreach (var source in volume.Objects("projected", "sources").Prepend(volume))
            {
                if (source["configMap"] is JsonObject map)
                {
                    yield return ("ConfigMap", map, "name", map.Flag("optional"));
                }

                if (source["secret"] is JsonObject secret)
                {
                    yield return ("Secret", secret, ReferenceEquals(source, volume) ? "secretName" : "name", secret.Flag("optional"));
                }
            }
        }

        foreach (var container in template.Objects("spec", "containers").Concat(template.Objects("spec", "initContainers")))
        {
            foreach (var source in container.Objects("envFrom"))
            {
                foreach (var (field, kind) in new[] { ("configMapRef", "ConfigMap"), ("secretRef", "Secret") })
                {
                    if (source[field] is JsonObject reference)
                    {
                        yield return (kind, reference, "name", reference.Flag("optional"));
                    }
                }
            }

            foreach (var variable in container.Objects("env"))
            {
                foreach (var (field, kind) in new[] { ("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret") })
                {
                    if (variable.At("valueFrom", field) is JsonObject reference)
                    {
                        yield return (kind, reference, "name", reference.Flag("optional"));
                    }
                }
            }
        }
    }
}
