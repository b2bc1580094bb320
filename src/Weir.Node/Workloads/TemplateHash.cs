using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Node.Workloads;

/// <summary>A short, stable name for a pod template, independent of the order of its fields.</summary>
public static class TemplateHash
{
    const string Alphabet = "bcdfghjklmnpqrstvwxz2456789";

    public static string Of(JsonNode template)
    {
        var digest = SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(Sorted(template), Resource.JsonOptions));
        return string.Concat(digest.Take(10).Select(b => Alphabet[b % Alphabet.Length]));
    }

    static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.OrderBy(p => p.Key, StringComparer.Ordinal)
            .Select(p => KeyValuePair.Create(p.Key, Sorted(p.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Sorted)]),
        _ => node?.DeepClone(),
    };
}
