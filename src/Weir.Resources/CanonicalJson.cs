using System.Text.Json;
using System.Text.Json.Nodes;

namespace Weir.Resources;

/// <summary>JSON as bytes that do not depend on the order in which members were written; what hashes are made of.</summary>
public static class CanonicalJson
{
    public static byte[] ToBytes(JsonNode? node) => JsonSerializer.SerializeToUtf8Bytes(Sorted(node), Resource.JsonOptions);

    static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => KeyValuePair.Create(p.Key, Sorted(p.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Sorted)]),
        _ => node?.DeepClone(),
    };
}
