using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Schemas;

namespace Weir.ApiServer.Patches;

/// <summary>
/// Kubernetes' strategic merge patch: a merge patch in which lists whose schema names a merge key are merged item by item.
/// Directives: <c>$patch: replace|delete|merge</c>, <c>$deleteFromPrimitiveList/F</c>, <c>$setElementOrder/F</c>,
/// <c>$retainKeys</c>.
/// </summary>
public static class StrategicMergePatch
{
    const string Delete = "$deleteFromPrimitiveList/";
    const string Order = "$setElementOrder/";

    public static JsonObject Apply(Schema schema, JsonObject target, JsonObject patch)
    {
        switch (patch.Text("$patch"))
        {
            case "replace":
                var replacement = patch.DeepClone().AsObject();
                replacement.Remove("$patch");
                return replacement;
            case "delete":
                return [];
        }

        var result = target.DeepClone().AsObject();
        if (patch["$retainKeys"] is JsonArray retained)
        {
            var keep = retained.Select(k => k.Text()).ToHashSet();
            foreach (var name in result.Select(p => p.Key).Where(k => !keep.Contains(k)).ToList())
            {
                result.Remove(name);
            }
        }

        foreach (var (name, value) in patch)
        {
            if (name is "$patch" or "$retainKeys" || name.StartsWith(Order, StringComparison.Ordinal))
            {
                continue;
            }

            if (name.StartsWith(Delete, StringComparison.Ordinal))
            {
                DeleteFromList(result, name[Delete.Length..], value);
                continue;
            }

            if (value is null)
            {
                result.Remove(name);
                continue;
            }

            result[name] = Merge(FieldOf(schema, name), result[name], value, patch[Order + name] as JsonArray);
        }

        // An order may be given for a list that the patch itself leaves alone.
        foreach (var (name, order) in patch.Where(p => p.Key.StartsWith(Order, StringComparison.Ordinal)))
        {
            var field = name[Order.Length..];
            if (!patch.ContainsKey(field) && result[field] is JsonArray list && FieldOf(schema, field)?.MergeKey is { } key)
            {
                result[field] = Sort(list, order as JsonArray, item => item.Text(key));
            }
        }

        return result;
    }

    static JsonNode? Merge(SchemaField? field, JsonNode? target, JsonNode patch, JsonArray? order)
    {
        switch (patch)
        {
            case JsonObject changes:
                var schema = field?.Schema ?? new Schema(SchemaType.Any);
                return Apply(schema, target as JsonObject ?? [], changes);
            case JsonArray items when field?.MergeKey is { } key:
                return Sort(MergeByKey(field.Schema.Element!, key, target as JsonArray ?? [], items), order, item => item.Text(key));
            case JsonArray items when field is { IsSet: true }:
                var union = (target as JsonArray ?? []).DeepClone().AsArray();
                foreach (var item in items.Where(i => !union.Any(u => JsonNode.DeepEquals(u, i))))
                {
                    union.Add(item?.DeepClone());
                }

                return Sort(union, order, item => item.Text());
            default:
                return patch.DeepClone();
        }
    }

    static JsonArray MergeByKey(Schema element, string key, JsonArray target, JsonArray patch)
    {
        if (patch.Any(p => p is JsonObject o && o.Count == 1 && o.Text("$patch") == "replace"))
        {
            return [.. patch.Where(p => p.Text("$patch") != "replace").Select(p => p?.DeepClone())];
        }

        var result = target.Select(t => t?.DeepClone()).ToList();
        foreach (var change in patch.OfType<JsonObject>())
        {
            var at = result.FindIndex(item => item.Text(key) == change.Text(key));
            if (change.Text("$patch") == "delete")
            {
                if (at >= 0)
                {
                    result.RemoveAt(at);
                }
            }
            else if (at >= 0)
            {
                result[at] = Apply(element, result[at]!.AsObject(), change);
            }
            else
            {
                // Through Apply, so that directives inside the new item are resolved, not stored.
                result.Add(Apply(element, [], change));
            }
        }

        return [.. result];
    }

    /// <summary>Items named by the order come in that order; the others keep their place among themselves, after them.</summary>
    static JsonArray Sort(JsonArray list, JsonArray? order, Func<JsonNode?, string?> identity)
    {
        if (order is null)
        {
            return list;
        }

        var rank = new Dictionary<string, int>();
        foreach (var entry in order)
        {
            rank.TryAdd(identity(entry) ?? "", rank.Count);
        }

        return [.. list.OrderBy(item => rank.GetValueOrDefault(identity(item) ?? "", int.MaxValue)).Select(item => item?.DeepClone())];
    }

    static void DeleteFromList(JsonObject target, string name, JsonNode? removed)
    {
        if (target[name] is JsonArray list && removed is JsonArray values)
        {
            target[name] = new JsonArray([.. list.Where(i => !values.Any(v => JsonNode.DeepEquals(v, i))).Select(i => i?.DeepClone())]);
        }
    }

    static SchemaField? FieldOf(Schema schema, string name) => schema.Type switch
    {
        SchemaType.Map => new SchemaField(name, schema.Element!),
        _ => schema.Fields.GetValueOrDefault(name),
    };
}
