using System.Text.Json.Nodes;
using Weir.Resources.Schemas;

namespace Weir.Resources.Kinds;

/// <summary>The one way to default and validate a resource, on the server and in a dry run on the client.</summary>
public static class ResourceChecks
{
    public static void ApplyDefaults(ResourceKind kind, Resource resource)
    {
        SchemaValidator.ApplyDefaults(kind.Schema, resource.Json);
        kind.Defaults(resource);
    }

    /// <summary>All violations; an empty list means the resource may be stored.</summary>
    public static List<Violation> Validate(ResourceKind kind, Resource resource, Resource? old)
    {
        var violations = new List<Violation>();
        if (resource.Json["metadata"] is JsonObject metadata && metadata.Text("name") is null && metadata.Text("generateName") is null)
        {
            violations.Add(Violation.Required("metadata.name", "name or generateName is required"));
        }

        SchemaValidator.Validate(kind.Schema, resource.Json, "", violations);

        // Rules read the fields that the schema has vouched for; on a mistyped resource they would only repeat it.
        if (!violations.Exists(v => v.Kind == ViolationKind.TypeInvalid))
        {
            var known = violations.Select(v => v.Path).ToHashSet();
            violations.AddRange(kind.Rules(resource).Where(v => known.Add(v.Path)));
            if (old is not null)
            {
                violations.AddRange(kind.UpdateRules(old, resource));
            }
        }

        return violations;
    }
}
