using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Delivery.Targets;

/// <summary>A short hash of JSON that does not depend on the order of members.</summary>
public static class ContentHash
{
    public static string Of(JsonNode? node) =>
        Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(Sorted(node), Resource.JsonOptions)).AsSpan(0, 8));

    static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => KeyValuePair.Create(p.Key, Sorted(p.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Sorted)]),
        _ => node?.DeepClone(),
    };
}
