using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Weir.Resources.Values;

namespace Weir.Resources.Schemas;

/// <summary>Checks a value against a schema: every violation with its field path, unknown fields, and defaults.</summary>
public static partial class SchemaValidator
{
    [GeneratedRegex("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    private static partial Regex DnsLabel();

    [GeneratedRegex(@"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
    private static partial Regex DnsSubdomain();

    [GeneratedRegex("^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
    private static partial Regex LabelValue();

    public static void Validate(Schema schema, JsonNode? value, string path, List<Violation> violations)
    {
        switch (schema.Type)
        {
            case SchemaType.Object when value is JsonObject o:
                ValidateObject(schema, o, path, violations);
                break;
            case SchemaType.List when value is JsonArray list:
                for (var i = 0; i < list.Count; i++)
                {
                    Validate(schema.Element!, list[i], $"{path}[{i}]", violations);
                }

                break;
            case SchemaType.Map when value is JsonObject map:
                foreach (var (key, item) in map)
                {
                    Validate(schema.Element!, item, $"{path}[{key}]", violations);
                }

                break;
            default:
                ValidateScalar(schema, value, path, violations);
                break;
        }
    }

    /// <summary>Fields that the schema does not know, as paths; what kubectl reports as <c>unknown field</c>.</summary>
    public static IEnumerable<string> UnknownFields(Schema schema, JsonNode? value, string path = "")
    {
        switch (schema.Type)
        {
            case SchemaType.Object when value is JsonObject o:
                foreach (var (name, child) in o)
                {
                    var childPath = Join(path, name);
                    if (!schema.Fields.TryGetValue(name, out var field))
                    {
                        yield return childPath;
                        continue;
                    }

                    foreach (var unknown in UnknownFields(field.Schema, child, childPath))
                    {
                        yield return unknown;
                    }
                }

                break;
            case SchemaType.List when value is JsonArray list:
                for (var i = 0; i < list.Count; i++)
                {
                    foreach (var unknown in UnknownFields(schema.Element!, list[i], $"{path}[{i}]"))
                    {
                        yield return unknown;
                    }
                }

                break;
            case SchemaType.Map when value is JsonObject map:
                foreach (var (key, item) in map)
                {
                    foreach (var unknown in UnknownFields(schema.Element!, item, Join(path, key)))
                    {
                        yield return unknown;
                    }
                }

                break;
        }
    }

    /// <summary>Fills in absent fields that have a default, and removes explicit nulls as the Kubernetes API does.</summary>
    public static void ApplyDefaults(Schema schema, JsonNode? value)
    {
        switch (schema.Type)
        {
            case SchemaType.Object when value is JsonObject o:
                foreach (var field in schema.Fields.Values)
                {
                    o.TryGetPropertyValue(field.Name, out var child);
                    if (child is null)
                    {
                        o.Remove(field.Name);
                        if (field.Default is not null)
                        {
                            o[field.Name] = field.Default.DeepClone();
                        }
                    }
                    else
                    {
                        ApplyDefaults(field.Schema, child);
                    }
                }

                break;
            case SchemaType.List when value is JsonArray list:
                foreach (var item in list)
                {
                    ApplyDefaults(schema.Element!, item);
                }

                break;
            case SchemaType.Map when value is JsonObject map:
                foreach (var (_, item) in map)
                {
                    ApplyDefaults(schema.Element!, item);
                }

                break;
        }
    }

    static void ValidateObject(Schema schema, JsonObject value, string path, List<Violation> violations)
    {
        foreach (var field in schema.Fields.Values)
        {
            var childPath = Join(path, field.Name);
            value.TryGetPropertyValue(field.Name, out var child);
            if (child is null)
            {
                if (field.IsRequired)
                {
                    violations.Add(Violation.Required(childPath));
                }

                continue;
            }

            if (field.IsRequired && child is JsonValue empty && empty.GetValueKind() == JsonValueKind.String && child.Text() == "")
            {
                violations.Add(Violation.Required(childPath));
                continue;
            }

            var before = violations.Count;
            Validate(field.Schema, child, childPath, violations);
            if (violations.Count == before)
            {
                ValidateConstraints(field, child, childPath, violations);
            }
        }
    }

    static void ValidateConstraints(SchemaField field, JsonNode child, string path, List<Violation> violations)
    {
        if (field.Allowed.Count > 0 && child is JsonValue && !field.Allowed.Contains(child.Text() ?? ""))
        {
            violations.Add(Violation.NotSupported(path, child.Text(), field.Allowed));
        }

        if (child.Real() is { } number)
        {
            if (number < field.Minimum)
            {
                violations.Add(Violation.Invalid(path, number, $"must be greater than or equal to {field.Minimum}"));
            }
            else if (number > field.Maximum)
            {
                violations.Add(Violation.Invalid(path, number, $"must be less than or equal to {field.Maximum}"));
            }
        }

        if (field.MergeKey is { } key && child is JsonArray list)
        {
            // Ports may share a number under different protocols; only names identify items without exception.
            var seen = new HashSet<string>();
            for (var i = 0; i < list.Count && key == "name"; i++)
            {
                if (list[i].Text(key) is { } id && !seen.Add(id))
                {
                    violations.Add(new Violation($"{path}[{i}].{key}", ViolationKind.Duplicate, $"Duplicate value: \"{id}\""));
                }
            }
        }
    }

    static void ValidateScalar(Schema schema, JsonNode? value, string path, List<Violation> violations)
    {
        var kind = value is JsonObject ? JsonValueKind.Object : value is JsonArray ? JsonValueKind.Array
            : value?.GetValueKind() ?? JsonValueKind.Null;
        var ok = schema.Type switch
        {
            SchemaType.Any => true,
            SchemaType.Text => kind == JsonValueKind.String,
            SchemaType.Boolean => kind is JsonValueKind.True or JsonValueKind.False,
            SchemaType.Real => kind == JsonValueKind.Number,
            SchemaType.Integer => kind == JsonValueKind.Number && long.TryParse(value!.ToJsonString(), out _),
            SchemaType.IntOrText => kind is JsonValueKind.String or JsonValueKind.Number,
            _ => false,
        };
        if (!ok)
        {
            violations.Add(new Violation(path, ViolationKind.TypeInvalid,
                $"Invalid value: {Describe(kind)}: must be of type {NameOf(schema.Type)}"));
            return;
        }

        if (schema.Format.Length > 0 && value.Text() is { } text && Complaint(schema.Format, text) is { } complaint)
        {
            violations.Add(Violation.Invalid(path, text, complaint));
        }
    }

    static string? Complaint(string format, string text) => format switch
    {
        "duration" => GoDuration.TryParse(text, out _) ? null : "must be a duration such as 10s, 1m30s or 500ms",
        "quantity" => Quantity.TryParse(text, out _) ? null : "must be a quantity such as 100m, 1.5 or 64Mi",
        "time" => DateTimeOffset.TryParse(text, out _) ? null : "must be a time as in RFC 3339",
        "dnsLabel" => IsDnsLabel(text) ? null
            : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character, at most 63 characters",
        "dnsSubdomain" => IsDnsSubdomain(text) ? null
            : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character, at most 253 characters",
        "labelValue" => text.Length <= 63 && LabelValue().IsMatch(text) ? null
            : "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character, at most 63 characters",
        _ => null,
    };

    public static bool IsDnsLabel(string text) => text.Length <= 63 && DnsLabel().IsMatch(text);

    public static bool IsDnsSubdomain(string text) => text.Length <= 253 && DnsSubdomain().IsMatch(text);

    static string Describe(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Object => "\"object\"",
        JsonValueKind.Array => "\"array\"",
        JsonValueKind.String => "\"string\"",
        JsonValueKind.Number => "\"number\"",
        JsonValueKind.Null => "\"null\"",
        _ => "\"boolean\"",
    };

    static string NameOf(SchemaType type) => type switch
    {
        SchemaType.Text => "string",
        SchemaType.Real => "number",
        SchemaType.List => "array",
        SchemaType.Map or SchemaType.Object => "object",
        SchemaType.IntOrText => "integer or string",
        _ => type.ToString().ToLowerInvariant(),
    };

    static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
