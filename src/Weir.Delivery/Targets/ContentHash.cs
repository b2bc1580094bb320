using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Delivery.Targets;

/// <summary>A short hash of JSON that does not depend on the order of members.</summary>
public static class ContentHash
{
    public static string Of(JsonNode? node) => Convert.ToHexStringLower(SHA256.HashData(CanonicalJson.ToBytes(node)).AsSpan(0, 8));
}
