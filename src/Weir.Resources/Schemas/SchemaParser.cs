using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Weir.Resources.Schemas;

/// <summary>
/// Reads the schema notation of the <c>*.schema</c> files beside this one. A file is a list of types; a type is a name and
/// indented fields: <c>name!: type attributes # description</c>. <c>!</c> marks a required field; a type is a scalar
/// (<c>string int number bool any intOrString</c>), a format of string (<c>time duration quantity dnsLabel …</c>), the name of
/// another type, <c>[T]</c> or <c>{T}</c>. Attributes: <c>=default</c>, <c>enum(a|b)</c>, <c>min(n)</c>, <c>max(n)</c>,
/// <c>key(field)</c>, <c>set</c>.
/// </summary>
static partial class SchemaParser
{
    static readonly HashSet<string> Formats = ["time", "duration", "quantity", "dnsLabel", "dnsSubdomain", "percent", "labelValue"];

    [GeneratedRegex(@"^\s+(?<name>[\w$.\-]+)(?<required>!)?:\s*(?<type>[^\s#]+)(?<attributes>[^#]*)(#\s*(?<doc>.*))?$")]
    private static partial Regex FieldLine();

    [GeneratedRegex(@"(?<name>[a-z]+)\((?<value>[^)]*)\)|=(?<default>\S+)|(?<flag>[a-z]+)")]
    private static partial Regex Attribute();

    public static void ParseInto(Dictionary<string, Schema> types, string text)
    {
        Schema? current = null;
        foreach (var line in text.Split('\n'))
        {
            if (string.IsNullOrWhiteSpace(line) || line.StartsWith('#'))
            {
                continue;
            }

            if (!char.IsWhiteSpace(line[0]))
            {
                current = Named(types, line.Trim());
                continue;
            }

            var match = FieldLine().Match(line);
            if (!match.Success || current is null)
            {
                throw new FormatException($"schema line not understood: '{line}'");
            }

            var field = ParseField(types, match);
            current.Fields[field.Name] = field;
        }
    }

    static SchemaField ParseField(Dictionary<string, Schema> types, Match match)
    {
        var schema = ParseType(types, match.Groups["type"].Value);
        var field = new SchemaField(match.Groups["name"].Value, schema)
        {
            IsRequired = match.Groups["required"].Success,
            Description = match.Groups["doc"].Value.Trim(),
        };
        foreach (Match a in Attribute().Matches(match.Groups["attributes"].Value))
        {
            var value = a.Groups["value"].Value;
            field = (a.Groups["name"].Value, a.Groups["flag"].Value) switch
            {
                ("enum", _) => field with { Allowed = value.Split('|') },
                ("min", _) => field with { Minimum = double.Parse(value, CultureInfo.InvariantCulture) },
                ("max", _) => field with { Maximum = double.Parse(value, CultureInfo.InvariantCulture) },
                ("key", _) => field with { MergeKey = value },
                (_, "set") => field with { IsSet = true },
                _ when a.Groups["default"].Success => field with { Default = ParseDefault(schema, a.Groups["default"].Value) },
                _ => throw new FormatException($"schema attribute not understood: '{a.Value}'"),
            };
        }

        return field;
    }

    static Schema ParseType(Dictionary<string, Schema> types, string type) => type switch
    {
        "string" => new Schema(SchemaType.Text),
        "int" => new Schema(SchemaType.Integer),
        "number" => new Schema(SchemaType.Real),
        "bool" => new Schema(SchemaType.Boolean),
        "any" => new Schema(SchemaType.Any),
        "intOrString" => new Schema(SchemaType.IntOrText),
        "quantity" => new Schema(SchemaType.IntOrText) { Format = type },
        ['[', .. var item, ']'] => new Schema(SchemaType.List) { Element = ParseType(types, item) },
        ['{', .. var value, '}'] => new Schema(SchemaType.Map) { Element = ParseType(types, value) },
        _ when Formats.Contains(type) => new Schema(SchemaType.Text) { Format = type },
        _ => Named(types, type),
    };

    static Schema Named(Dictionary<string, Schema> types, string name)
    {
        if (!types.TryGetValue(name, out var schema))
        {
            types[name] = schema = new Schema(SchemaType.Object) { Name = name };
        }

        return schema;
    }

    static JsonValue ParseDefault(Schema schema, string text) => schema.Type switch
    {
        SchemaType.Integer => JsonValue.Create(long.Parse(text, CultureInfo.InvariantCulture)),
        SchemaType.Boolean => JsonValue.Create(bool.Parse(text)),
        SchemaType.IntOrText when long.TryParse(text, out var number) => JsonValue.Create(number),
        _ => JsonValue.Create(text),
    };
}
