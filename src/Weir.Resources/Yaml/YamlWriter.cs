using System.Text.Json;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Weir.Resources.Yaml;

/// <summary>JSON nodes to block-style YAML, quoting exactly the strings that would otherwise read back as something else.</summary>
public static class YamlWriter
{
    public static string Write(JsonNode? node)
    {
        var text = new StringWriter { NewLine = "\n" };
        var emitter = new Emitter(text, EmitterSettings.Default.WithIndentedSequences().WithBestWidth(int.MaxValue));
        emitter.Emit(new StreamStart());
        emitter.Emit(new DocumentStart(null, null, isImplicit: true));
        Emit(emitter, node);
        emitter.Emit(new DocumentEnd(isImplicit: true));
        emitter.Emit(new StreamEnd());
        return text.ToString();
    }

    static void Emit(Emitter emitter, JsonNode? node)
    {
        switch (node)
        {
            case JsonObject map:
                emitter.Emit(new MappingStart(AnchorName.Empty, TagName.Empty, true, map.Count == 0 ? MappingStyle.Flow : MappingStyle.Block));
                foreach (var (key, value) in map)
                {
                    emitter.Emit(Text(key));
                    Emit(emitter, value);
                }

                emitter.Emit(new MappingEnd());
                break;
            case JsonArray list:
                emitter.Emit(new SequenceStart(AnchorName.Empty, TagName.Empty, true,
                    list.Count == 0 ? SequenceStyle.Flow : SequenceStyle.Block));
                foreach (var item in list)
                {
                    Emit(emitter, item);
                }

                emitter.Emit(new SequenceEnd());
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                emitter.Emit(Text(value.GetValue<string>()));
                break;
            default:
                emitter.Emit(new Scalar(AnchorName.Empty, TagName.Empty, node?.ToJsonString() ?? "null", ScalarStyle.Plain, true, false));
                break;
        }
    }

    static Scalar Text(string value)
    {
        var style = value.Contains('\n') ? ScalarStyle.Literal
            : ReadsBackAsText(value) ? ScalarStyle.Plain
            : ScalarStyle.DoubleQuoted;
        return new Scalar(AnchorName.Empty, TagName.Empty, value, style, true, true);
    }

    static bool ReadsBackAsText(string value)
    {
        if (value.Length == 0 || value != value.Trim() || value is "y" or "n" or "yes" or "no" or "on" or "off" or "---")
        {
            return false;
        }

        try
        {
            return YamlReader.Parse(value) is [JsonValue v] && v.GetValueKind() == JsonValueKind.String && v.GetValue<string>() == value;
        }
        catch (YamlSyntaxException)
        {
            return false;
        }
    }
}
