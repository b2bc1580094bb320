using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Yaml;

namespace Weir.App.Commands;

/// <summary>Resources from files, directories or standard input.</summary>
static class Manifests
{
    public static IReadOnlyList<(ResourceKind Kind, Resource Resource, string Source)> Read(IEnumerable<string> paths, string ns)
    {
        var found = new List<(ResourceKind, Resource, string)>();
        foreach (var source in paths.SelectMany(Expand))
        {
            var text = source == "-" ? Console.In.ReadToEnd() : File.ReadAllText(source);
            List<JsonNode> documents;
            try
            {
                documents = YamlReader.Parse(text);
            }
            catch (YamlSyntaxException e)
            {
                throw new CommandException($"error parsing {source}: {e.Message}");
            }

            foreach (var item in documents.SelectMany(d => d.Text("kind") == "List" ? d.Objects("items") : (IEnumerable<JsonNode>)[d]))
            {
                found.Add(Identify(item, source, ns));
            }
        }

        return found.Count > 0 ? found : throw new CommandException("no objects passed to apply");
    }

    static (ResourceKind, Resource, string) Identify(JsonNode item, string source, string ns)
    {
        if (item is not JsonObject json || json.Text("apiVersion") is not { } apiVersion || json.Text("kind") is not { } kindName)
        {
            throw new CommandException($"{source}: a resource needs apiVersion and kind");
        }

        var kind = KindCatalog.Default.FindKind(apiVersion, kindName)
            ?? throw new CommandException($"{source}: no matches for kind \"{kindName}\" in version \"{apiVersion}\"");
        var resource = new Resource(json.DeepClone().AsObject());
        if (kind.IsNamespaced && resource.Namespace.Length == 0)
        {
            resource.Metadata["namespace"] = ns;
        }

        return (kind, resource, source);
    }

    static IEnumerable<string> Expand(string path) => Directory.Exists(path)
        ? Directory.GetFiles(path).Where(f => Path.GetExtension(f) is ".yaml" or ".yml" or ".json").Order(StringComparer.Ordinal)
        : path == "-" || File.Exists(path) ? [path] : throw new CommandException($"the path \"{path}\" does not exist");
}
