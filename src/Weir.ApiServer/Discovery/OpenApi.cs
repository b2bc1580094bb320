using System.Text.Json.Nodes;
using Weir.Resources.Kinds;
using Weir.Resources.Schemas;

namespace Weir.ApiServer.Discovery;

/// <summary>
/// OpenAPI v3 documents, one for each group version, made from the kinds' schemas: for <c>kubectl explain</c>, and to tell kubectl
/// that the server itself reports unknown fields (<c>fieldValidation</c>).
/// </summary>
static class OpenApi
{
    public static JsonObject Index(IEnumerable<(string Path, string Version, List<ResourceKind> Kinds)> versions)
    {
        var paths = new JsonObject();
        foreach (var (path, _, _) in versions)
        {
            paths[path] = new JsonObject { ["serverRelativeURL"] = $"/openapi/v3/{path}" };
        }

        return new JsonObject { ["paths"] = paths };
    }

    public static JsonObject Document(KindCatalog catalog, string version, List<ResourceKind> kinds)
    {
        var paths = new JsonObject();
        var schemas = new JsonObject();
        foreach (var kind in kinds)
        {
            var gvk = new JsonObject { ["group"] = kind.Group, ["version"] = version, ["kind"] = kind.Kind };
            var name = $"{(kind.Group.Length == 0 ? "core" : kind.Group)}.{version}.{kind.Kind}";
            var path = kind.Path(kind.IsNamespaced ? "{namespace}" : null, version) + "/{name}";
            paths[path] = new JsonObject
            {
                ["get"] = Operation(gvk, "get", name, withValidation: false),
                ["put"] = Operation(gvk, "put", name, withValidation: true),
                ["patch"] = Operation(gvk, "patch", name, withValidation: true),
            };
            paths[kind.Path(kind.IsNamespaced ? "{namespace}" : null, version)] = new JsonObject
            {
                ["post"] = Operation(gvk, "post", name, withValidation: true),
            };
            var schema = kind.Schema.Type == SchemaType.Object ? Describe(kind.Schema) : new JsonObject { ["type"] = "object" };
            schema["x-kubernetes-group-version-kind"] = new JsonArray(gvk.DeepClone());
            schemas[name] = schema;
        }

        foreach (var (name, schema) in catalog.Types.Where(t => !kinds.Exists(k => k.Kind == t.Key)))
        {
            schemas[name] = Describe(schema);
        }

        return new JsonObject
        {
            ["openapi"] = "3.0.0",
            ["info"] = new JsonObject { ["title"] = "Weir", ["version"] = DiscoveryHandler.KubernetesVersion },
            ["paths"] = paths,
            ["components"] = new JsonObject { ["schemas"] = schemas },
        };
    }

    static JsonObject Operation(JsonObject gvk, string action, string schema, bool withValidation)
    {
        var parameters = new JsonArray();
        foreach (var name in withValidation ? ["dryRun", "fieldValidation"] : Array.Empty<string>())
        {
            parameters.Add(new JsonObject
            {
                ["name"] = name,
                ["in"] = "query",
                ["schema"] = new JsonObject { ["type"] = "string", ["uniqueItems"] = true },
            });
        }

        return new JsonObject
        {
            ["operationId"] = $"{action}{gvk["kind"]}",
            ["parameters"] = parameters,
            ["responses"] = new JsonObject
            {
                ["200"] = new JsonObject
                {
                    ["description"] = "OK",
                    ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = Reference(schema) } },
                },
            },
            ["x-kubernetes-action"] = action,
            ["x-kubernetes-group-version-kind"] = gvk.DeepClone(),
        };
    }

    static JsonObject Describe(Schema schema)
    {
        var properties = new JsonObject();
        foreach (var field in schema.Fields.Values)
        {
            var property = TypeOf(field.Schema);
            if (property.ContainsKey("$ref"))
            {
                property = new JsonObject { ["allOf"] = new JsonArray(property) };
            }

            property["description"] = field.Description;
            if (field.Default is not null)
            {
                property["default"] = field.Default.DeepClone();
            }

            if (field.Allowed.Count > 0)
            {
                property["enum"] = new JsonArray([.. field.Allowed.Select(a => JsonValue.Create(a))]);
            }

            if (field.MergeKey is not null)
            {
                property["x-kubernetes-patch-merge-key"] = field.MergeKey;
                property["x-kubernetes-patch-strategy"] = "merge";
            }

            properties[field.Name] = property;
        }

        var json = new JsonObject { ["type"] = "object", ["properties"] = properties };
        var required = schema.Fields.Values.Where(f => f.IsRequired).Select(f => JsonValue.Create(f.Name)).ToArray();
        if (required.Length > 0)
        {
            json["required"] = new JsonArray([.. required]);
        }

        return json;
    }

    static JsonObject TypeOf(Schema schema) => schema.Type switch
    {
        SchemaType.Object => Reference(schema.Name),
        SchemaType.List => new JsonObject { ["type"] = "array", ["items"] = TypeOf(schema.Element!) },
        SchemaType.Map => new JsonObject { ["type"] = "object", ["additionalProperties"] = TypeOf(schema.Element!) },
        SchemaType.Integer => new JsonObject { ["type"] = "integer", ["format"] = "int64" },
        SchemaType.Real => new JsonObject { ["type"] = "number" },
        SchemaType.Boolean => new JsonObject { ["type"] = "boolean" },
        SchemaType.Text => new JsonObject { ["type"] = "string" },
        SchemaType.IntOrText => new JsonObject { ["type"] = "string", ["format"] = "int-or-string" },
        _ => new JsonObject { ["type"] = "object" },
    };

    static JsonObject Reference(string name) => new() { ["$ref"] = "#/components/schemas/" + name };
}
