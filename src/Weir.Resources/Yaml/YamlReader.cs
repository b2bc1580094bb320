using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Weir.Resources.Yaml;

/// <summary>What a manifest could not be read for, with its place.</summary>
public sealed class YamlSyntaxException(string message) : Exception(message);

/// <summary>YAML (or JSON, its subset) to JSON nodes, one for each document, with the scalar rules of YAML 1.2's core schema.</summary>
public static partial class YamlReader
{
    /// <summary>Nesting deeper than this is refused, so that hostile input cannot exhaust the stack.</summary>
    const int MaximumDepth = 100;

    /// <summary>Aliases copy what they name; a document that would grow beyond this many nodes by them is refused.</summary>
    const int MaximumAliasedNodes = 100_000;

    [GeneratedRegex(@"^[-+]?(0|[1-9][0-9]*)$")]
    private static partial Regex Integer();

    [GeneratedRegex(@"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")]
    private static partial Regex Real();

    /// <exception cref="YamlSyntaxException">The text is not YAML; the message names line and column.</exception>
    public static List<JsonNode> Parse(string text)
    {
        var documents = new List<JsonNode>();
        try
        {
            var parser = new Parser(new StringReader(text));
            parser.Consume<StreamStart>();
            while (parser.TryConsume<DocumentStart>(out _))
            {
                var node = ReadNode(parser, [], 0);
                parser.Consume<DocumentEnd>();
                if (node is not null)
                {
                    documents.Add(node);
                }
            }
        }
        catch (YamlException e)
        {
            throw new YamlSyntaxException($"yaml: line {e.Start.Line}, column {e.Start.Column}: {e.Message}");
        }

        return documents;
    }

    static JsonNode? ReadNode(Parser parser, Dictionary<AnchorName, JsonNode?> anchors, int depth)
    {
        if (depth > MaximumDepth)
        {
            throw new YamlSyntaxException($"yaml: nested deeper than {MaximumDepth} levels");
        }

        if (parser.TryConsume<AnchorAlias>(out var alias))
        {
            if (!anchors.TryGetValue(alias.Value, out var aliased))
            {
                throw new YamlSyntaxException($"yaml: line {alias.Start.Line}: unknown anchor '{alias.Value}'");
            }

            return Count(aliased, MaximumAliasedNodes) > MaximumAliasedNodes
                ? throw new YamlSyntaxException($"yaml: line {alias.Start.Line}: the aliases stand for more than {MaximumAliasedNodes} nodes")
                : aliased?.DeepClone();
        }

        if (parser.TryConsume<Scalar>(out var scalar))
        {
            return Remember(anchors, scalar.Anchor, ReadScalar(scalar));
        }

        if (parser.TryConsume<SequenceStart>(out var sequence))
        {
            var list = new JsonArray();
            while (!parser.TryConsume<SequenceEnd>(out _))
            {
                list.Add(ReadNode(parser, anchors, depth + 1));
            }

            return Remember(anchors, sequence.Anchor, list);
        }

        var start = parser.Consume<MappingStart>();
        var map = new JsonObject();
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            var key = parser.Consume<Scalar>();
            var value = ReadNode(parser, anchors, depth + 1);
            if (key.Value == "<<" && value is JsonObject merged)
            {
                foreach (var (name, inherited) in merged.Where(p => !map.ContainsKey(p.Key)).ToList())
                {
                    map[name] = inherited?.DeepClone();
                }
            }
            else if (!map.TryAdd(key.Value, value))
            {
                throw new YamlSyntaxException($"yaml: line {key.Start.Line}: key \"{key.Value}\" already set in map");
            }
        }

        return Remember(anchors, start.Anchor, map);
    }

    /// <summary>Nodes in a tree, as far as the limit: nothing is built before it is known to be small enough.</summary>
    static int Count(JsonNode? node, int limit)
    {
        var children = node switch
        {
            JsonObject map => map.Select(p => p.Value),
            JsonArray list => list,
            _ => [],
        };
        var count = 1;
        foreach (var child in children)
        {
            count += Count(child, limit - count);
            if (count > limit)
            {
                break;
            }
        }

        return count;
    }

    static JsonNode? Remember(Dictionary<AnchorName, JsonNode?> anchors, AnchorName anchor, JsonNode? node)
    {
        if (!anchor.IsEmpty)
        {
            anchors[anchor] = node?.DeepClone();
        }

        return node;
    }

    static JsonValue? ReadScalar(Scalar scalar)
    {
        if (scalar.Style is not ScalarStyle.Plain || scalar.Tag == "tag:yaml.org,2002:str")
        {
            return JsonValue.Create(scalar.Value);
        }

        return scalar.Value switch
        {
            "" or "~" or "null" or "Null" or "NULL" => null,
            "true" or "True" or "TRUE" => JsonValue.Create(true),
            "false" or "False" or "FALSE" => JsonValue.Create(false),
            var v when Integer().IsMatch(v) && long.TryParse(v, CultureInfo.InvariantCulture, out var number) => JsonValue.Create(number),
            var v when v.StartsWith("0x", StringComparison.Ordinal)
                && long.TryParse(v.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var hex) => JsonValue.Create(hex),
            var v when v.StartsWith("0o", StringComparison.Ordinal) => JsonValue.Create(Convert.ToInt64(v[2..], 8)),
            var v when Real().IsMatch(v) => JsonValue.Create(double.Parse(v, CultureInfo.InvariantCulture)),
            var v => JsonValue.Create(v),
        };
    }
}
