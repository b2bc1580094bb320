using System.Text.Json.Nodes;

namespace Weir.ApiServer.Patches;

/// <summary>JSON merge patch, RFC 7386.</summary>
public static class MergePatch
{
    public static JsonNode? Apply(JsonNode? target, JsonNode? patch)
    {
        if (patch is not JsonObject changes)
        {
            return patch?.DeepClone();
        }

        var result = target as JsonObject ?? [];
        foreach (var (name, value) in changes)
        {
            if (value is null)
            {
                result.Remove(name);
                continue;
            }

            result.Remove(name, out var old);
            result[name] = Apply(old, value);
        }

        return result;
    }
}
