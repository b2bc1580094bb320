using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.ApiServer.Requests;

/// <summary>Objects as a <c>meta.k8s.io/v1</c> Table, which is what kubectl prints.</summary>
static class TableWriter
{
    public static JsonObject Write(
        ResourceKind kind, string version, IEnumerable<Resource> items, string resourceVersion, string? includeObject, DateTimeOffset now, bool withColumns = true)
    {
        return new JsonObject
        {
            ["kind"] = "Table",
            ["apiVersion"] = "meta.k8s.io/v1",
            ["metadata"] = new JsonObject { ["resourceVersion"] = resourceVersion },
            ["columnDefinitions"] = withColumns ? Columns(kind) : new JsonArray(),
            ["rows"] = new JsonArray([.. items.Select(item => Row(kind, version, item, includeObject, now))]),
        };
    }

    static JsonArray Columns(ResourceKind kind) => new([.. kind.Columns.Select(c => new JsonObject
    {
        ["name"] = c.Title,
        ["type"] = c.Type,
        ["format"] = c.Title == "Name" ? "name" : "",
        ["description"] = "",
        ["priority"] = c.Priority,
    })]);

    static JsonObject Row(ResourceKind kind, string version, Resource item, string? includeObject, DateTimeOffset now)
    {
        var row = new JsonObject { ["cells"] = new JsonArray([.. kind.Columns.Select(c => c.Cell(item, now) ?? JsonValue.Create(""))]) };
        switch (includeObject)
        {
            case "None":
                break;
            case "Object":
                var json = item.Copy();
                json.Json["apiVersion"] = kind.ApiVersion(version);
                kind.FromStored(json.Json, version);
                row["object"] = json.Json;
                break;
            default:
                row["object"] = new JsonObject
                {
                    ["kind"] = "PartialObjectMetadata",
                    ["apiVersion"] = "meta.k8s.io/v1",
                    ["metadata"] = item.Metadata.DeepClone(),
                };
                break;
        }

        return row;
    }
}
