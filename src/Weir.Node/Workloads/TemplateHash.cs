using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Node.Workloads;

/// <summary>A short, stable name for a pod template, independent of the order of its fields.</summary>
public static class TemplateHash
{
    /// <summary>No vowels, and nothing that looks like another character: as Kubernetes' own names.</summary>
    const string Alphabet = "bcdfghjklmnpqrstvwxz2456789";

    public static string Of(JsonNode template) =>
        string.Concat(SHA256.HashData(CanonicalJson.ToBytes(template)).Take(10).Select(b => Alphabet[b % Alphabet.Length]));
}
