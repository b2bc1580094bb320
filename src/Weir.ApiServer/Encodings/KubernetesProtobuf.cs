using System.Collections.Frozen;
using System.Text.Json.Nodes;
using Google.Protobuf;

namespace Weir.ApiServer.Encodings;

/// <summary>A protobuf body that cannot be read in full; nothing of it is used.</summary>
public sealed class ProtobufException(string message) : Exception(message);

/// <summary>
/// Reads <c>application/vnd.kubernetes.protobuf</c>, in which newer kubectl sends what it makes itself (<c>kubectl create
/// namespace</c>): four magic bytes, an envelope with the type, and the object in the encoding whose numbers are in the file beside
/// this one. A field that the file does not list is an error, not a loss.
/// </summary>
public static class KubernetesProtobuf
{
    public const string MediaType = "application/vnd.kubernetes.protobuf";

    sealed record Field(string Name, string Type, bool IsList, bool IsMap);

    static readonly FrozenDictionary<string, FrozenDictionary<int, Field>> Messages = Load();

    static ReadOnlySpan<byte> Magic => "k8s\0"u8;

    /// <exception cref="ProtobufException">The bytes are not of this encoding, or have a field that is not known.</exception>
    public static JsonObject Read(byte[] body)
    {
        if (!body.AsSpan().StartsWith(Magic))
        {
            throw new ProtobufException("the body does not start with the protobuf envelope's magic bytes");
        }

        try
        {
            var (apiVersion, kind, raw) = ReadEnvelope(new CodedInputStream(body, Magic.Length, body.Length - Magic.Length));
            var json = ReadMessage(kind, raw);
            var result = new JsonObject { ["apiVersion"] = apiVersion, ["kind"] = kind };
            foreach (var (name, value) in json)
            {
                result[name] = value?.DeepClone();
            }

            return result;
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new ProtobufException(e.Message);
        }
    }

    static (string ApiVersion, string Kind, byte[] Raw) ReadEnvelope(CodedInputStream input)
    {
        string apiVersion = "", kind = "";
        byte[] raw = [];
        uint tag;
        while ((tag = input.ReadTag()) != 0)
        {
            switch (tag >> 3)
            {
                case 1:
                    var type = new CodedInputStream(input.ReadBytes().ToByteArray());
                    uint typeTag;
                    while ((typeTag = type.ReadTag()) != 0)
                    {
                        var text = type.ReadString();
                        (apiVersion, kind) = typeTag >> 3 == 1 ? (text, kind) : (apiVersion, text);
                    }

                    break;
                case 2:
                    raw = input.ReadBytes().ToByteArray();
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }

        return (apiVersion, kind, raw);
    }

    static JsonObject ReadMessage(string message, byte[] bytes)
    {
        if (!Messages.TryGetValue(message, out var fields))
        {
            throw new ProtobufException($"{message} is not understood in protobuf here: send it as JSON or YAML (kubectl apply -f)");
        }

        var json = new JsonObject();
        var input = new CodedInputStream(bytes);
        uint tag;
        while ((tag = input.ReadTag()) != 0)
        {
            if (!fields.TryGetValue((int)(tag >> 3), out var field))
            {
                // Messages without fields in the file are the server's own (status): what a client says there does not count.
                if (fields.Count == 0)
                {
                    input.SkipLastField();
                    continue;
                }

                // Kubernetes' encoder writes out what was not set: empty messages and texts, zeros.
                var isUnset = WireFormat.GetTagWireType(tag) == WireFormat.WireType.LengthDelimited ? input.ReadBytes().IsEmpty : input.ReadInt64() == 0;
                if (isUnset)
                {
                    continue;
                }

                throw new ProtobufException($"field {tag >> 3} of {message} is not understood in protobuf here: send it as JSON or YAML (kubectl apply -f)");
            }

            if (field.IsMap)
            {
                ReadEntry(json[field.Name] as JsonObject ?? AddTo(json, field.Name, new JsonObject()), field.Type, input.ReadBytes().ToByteArray());
            }
            else if (field.IsList)
            {
                (json[field.Name] as JsonArray ?? AddTo(json, field.Name, new JsonArray())).Add(ReadValue(field.Type, input));
            }
            else if (ReadValue(field.Type, input) is { } value && !IsUnset(value))
            {
                json[field.Name] = value;
            }
        }

        return json;
    }

    /// <summary>An empty text and a false are what fields have that nobody set. A zero may have been meant: no replicas.</summary>
    static bool IsUnset(JsonNode value) =>
        value is JsonValue v && (v.GetValueKind() == System.Text.Json.JsonValueKind.False || (v.TryGetValue<string>(out var text) && text.Length == 0));

    static T AddTo<T>(JsonObject json, string name, T node)
        where T : JsonNode
    {
        json[name] = node;
        return node;
    }

    static void ReadEntry(JsonObject map, string type, byte[] bytes)
    {
        var input = new CodedInputStream(bytes);
        var key = "";
        JsonNode? value = type == "text" ? "" : null;
        uint tag;
        while ((tag = input.ReadTag()) != 0)
        {
            if (tag >> 3 == 1)
            {
                key = input.ReadString();
            }
            else
            {
                value = ReadValue(type, input);
            }
        }

        map[key] = value ?? "";
    }

    /// <summary>Null for what is there in form only: an empty time, an empty message.</summary>
    static JsonNode? ReadValue(string type, CodedInputStream input)
    {
        switch (type)
        {
            case "text":
                return input.ReadString();
            case "int":
                return input.ReadInt64();
            case "bool":
                return input.ReadBool();
            case "bytes":
                return input.ReadBytes().ToBase64();
            case "quantity":
                return ReadFields(input)[1]?.DeepClone();
            case "time":
                return ReadFields(input) is [_, JsonValue seconds, ..]
                    ? Resources.JsonReading.ToTimestamp(DateTimeOffset.FromUnixTimeSeconds(seconds.GetValue<long>())) : null;
            case "intOrString":
                var parts = ReadFields(input);
                return parts[1]?.GetValue<long>() == 1 ? parts[3]?.DeepClone() ?? "" : parts[2]?.DeepClone() ?? 0;
            default:
                var bytes = input.ReadBytes().ToByteArray();
                return ReadMessage(type, bytes) is { Count: > 0 } message ? message : null;
        }
    }

    /// <summary>The scalar fields 1 to 3 of a small message.</summary>
    static JsonNode?[] ReadFields(CodedInputStream input)
    {
        var fields = new JsonNode?[4];
        var inner = new CodedInputStream(input.ReadBytes().ToByteArray());
        uint tag;
        while ((tag = inner.ReadTag()) != 0)
        {
            JsonNode value = WireFormat.GetTagWireType(tag) == WireFormat.WireType.Varint ? inner.ReadInt64() : inner.ReadString();
            if (tag >> 3 < fields.Length)
            {
                fields[tag >> 3] = value;
            }
        }

        return fields;
    }

    static FrozenDictionary<string, FrozenDictionary<int, Field>> Load()
    {
        using var stream = typeof(KubernetesProtobuf).Assembly.GetManifestResourceStream("Weir.ApiServer.Encodings.kubernetes.fields")!;
        var messages = new Dictionary<string, FrozenDictionary<int, Field>>();
        foreach (var line in new StreamReader(stream).ReadToEnd().Split('\n').Where(l => l.Length > 0 && l[0] != '#'))
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            messages[words[0]] = words.Skip(1).ToFrozenDictionary(NumberOf, FieldOf);
        }

        return messages.ToFrozenDictionary();
    }

    static int NumberOf(string word) => int.Parse(word.AsSpan()[(word.IndexOf('=') + 1)..word.IndexOf(':')]);

    static Field FieldOf(string word)
    {
        var type = word[(word.IndexOf(':') + 1)..];
        return new Field(word[..word.IndexOf('=')], type.Trim('{', '}', '[', ']'), type.EndsWith(']'), type.StartsWith('{'));
    }
}
