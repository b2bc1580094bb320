using System.Text.Json.Nodes;

namespace Weir.Resources.Schemas;

public enum SchemaType
{
    Any,
    Text,
    Integer,
    Real,
    Boolean,
    IntOrText,
    Object,
    List,
    Map,
}

/// <summary>A structural schema: what a value may look like, its defaults, and how lists in it merge.</summary>
public sealed class Schema(SchemaType type)
{
    public SchemaType Type { get; } = type;
    public string Name { get; init; } = "";
    public string Format { get; init; } = "";
    public Dictionary<string, SchemaField> Fields { get; } = [];

    /// <summary>Of the items of a list or the values of a map.</summary>
    public Schema? Element { get; init; }
}

/// <summary>A member of an object schema.</summary>
public sealed record SchemaField(string Name, Schema Schema)
{
    public bool IsRequired { get; init; }
    public JsonNode? Default { get; init; }
    public IReadOnlyList<string> Allowed { get; init; } = [];
    public double? Minimum { get; init; }
    public double? Maximum { get; init; }

    /// <summary>The field whose value identifies an item of this list (<c>x-kubernetes-patch-merge-key</c>).</summary>
    public string? MergeKey { get; init; }

    /// <summary>True for a list of scalars that a strategic merge patch unites.</summary>
    public bool IsSet { get; init; }

    public string Description { get; init; } = "";
}
