using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.ApiServer.Patches;

/// <summary>A patch that does not fit the object it was sent for.</summary>
public sealed class PatchException(string message) : Exception(message);

/// <summary>JSON Patch, RFC 6902, with JSON Pointer, RFC 6901.</summary>
public static class JsonPatch
{
    const int MaximumOperations = 10_000;

    /// <exception cref="PatchException">An operation is malformed or its path or test does not hold.</exception>
    public static JsonNode? Apply(JsonNode? document, JsonNode? patch)
    {
        if (patch is not JsonArray operations || operations.Count > MaximumOperations)
        {
            throw new PatchException($"a JSON patch must be a list of at most {MaximumOperations} operations");
        }

        foreach (var operation in operations)
        {
            document = ApplyOne(document, operation as JsonObject ?? throw new PatchException("an operation must be an object"));
        }

        return document;
    }

    static JsonNode? ApplyOne(JsonNode? document, JsonObject operation)
    {
        var path = Pointer(operation.Text("path") ?? throw new PatchException("operation without path"));
        switch (operation.Text("op"))
        {
            case "add":
                return Add(document, path, operation["value"]?.DeepClone());
            case "remove":
                return Remove(document, path, out _);
            case "replace":
                Find(document, path);
                return path.Length == 0
                    ? operation["value"]?.DeepClone()
                    : Add(Remove(document, path, out _), path, operation["value"]?.DeepClone());
            case "move":
                document = Remove(document, Pointer(operation.Text("from") ?? ""), out var moved);
                return Add(document, path, moved);
            case "copy":
                return Add(document, path, Find(document, Pointer(operation.Text("from") ?? ""))?.DeepClone());
            case "test":
                return JsonNode.DeepEquals(Find(document, path), operation["value"])
                    ? document
                    : throw new PatchException($"testing value {operation.Text("path")} failed");
            default:
                throw new PatchException($"unknown operation \"{operation.Text("op")}\"");
        }
    }

    static JsonNode? Add(JsonNode? document, string[] path, JsonNode? value)
    {
        if (path.Length == 0)
        {
            return value;
        }

        switch (Find(document, path[..^1]))
        {
            case JsonObject map:
                map[path[^1]] = value;
                break;
            case JsonArray list:
                list.Insert(path[^1] == "-" ? list.Count : Index(path[^1], list.Count), value);
                break;
            default:
                throw Missing(path);
        }

        return document;
    }

    static JsonNode? Remove(JsonNode? document, string[] path, out JsonNode? removed)
    {
        removed = document;
        if (path.Length == 0)
        {
            return null;
        }

        switch (Find(document, path[..^1]))
        {
            case JsonObject map when map.Remove(path[^1], out removed):
                return document;
            case JsonArray list:
                var index = Index(path[^1], list.Count - 1);
                removed = list[index];
                list.RemoveAt(index);
                return document;
            default:
                throw Missing(path);
        }
    }

    static JsonNode? Find(JsonNode? node, string[] path)
    {
        foreach (var name in path)
        {
            node = node switch
            {
                JsonObject map when map.TryGetPropertyValue(name, out var child) => child,
                JsonArray list => list[Index(name, list.Count - 1)],
                _ => throw Missing(path),
            };
        }

        return node;
    }

    static int Index(string text, int last) =>
        int.TryParse(text, out var index) && index >= 0 && index <= last ? index : throw new PatchException($"index {text} is out of bounds");

    static string[] Pointer(string text)
    {
        if (text.Length == 0)
        {
            return [];
        }

        return text[0] == '/'
            ? [.. text[1..].Split('/').Select(part => part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal))]
            : throw new PatchException($"path \"{text}\" must start with /");
    }

    static PatchException Missing(string[] path) => new($"the path /{string.Join('/', path)} does not exist");
}
