using System.Text.Json.Nodes;
using Weir.Resources.Schemas;

namespace Weir.Resources.Kinds;

/// <summary>Everything the platform knows about one kind: its names, versions, schema, columns and rules.</summary>
public sealed record ResourceKind
{
    public required string Group { get; init; }
    public required string Kind { get; init; }
    public required string Plural { get; init; }

    /// <summary>Served versions; the first is preferred and is the one stored.</summary>
    public required IReadOnlyList<string> Versions { get; init; }

    public required Schema Schema { get; init; }
    public IReadOnlyList<string> ShortNames { get; init; } = [];
    public IReadOnlyList<string> Categories { get; init; } = [];
    public bool IsNamespaced { get; init; } = true;
    public bool HasStatus { get; init; }
    public bool HasScale { get; init; }

    /// <summary>False for kinds that a cluster would define by CRD: they have no strategic merge patch.</summary>
    public bool IsBuiltIn { get; init; } = true;

    public IReadOnlyList<Column> Columns { get; init; } = [Column.Name, Column.Age];

    /// <summary>Rules beyond the schema; every violation, never an exception.</summary>
    public Func<Resource, IEnumerable<Violation>> Rules { get; init; } = _ => [];

    /// <summary>Rules for a change of an existing object: fields that cannot be changed.</summary>
    public Func<Resource, Resource, IEnumerable<Violation>> UpdateRules { get; init; } = (_, _) => [];

    /// <summary>Defaults that depend on other fields.</summary>
    public Action<Resource> Defaults { get; init; } = _ => { };

    /// <summary>From a served version (second argument) to the stored one, in place.</summary>
    public Action<JsonObject, string> ToStored { get; init; } = (_, _) => { };

    /// <summary>From the stored version to a served one (second argument), in place.</summary>
    public Action<JsonObject, string> FromStored { get; init; } = (_, _) => { };

    public string Singular => Kind.ToLowerInvariant();
    public string StoredVersion => Versions[0];
    public string ApiVersion(string version) => Group.Length == 0 ? version : $"{Group}/{version}";
    public string StoredApiVersion => ApiVersion(StoredVersion);

    /// <summary>As error messages name it: <c>deployments.apps</c>, or <c>pods</c> for the core group.</summary>
    public string QualifiedPlural => Group.Length == 0 ? Plural : $"{Plural}.{Group}";

    /// <summary>As commands name an object's kind: <c>deployment.apps</c>, or <c>pod</c>.</summary>
    public string QualifiedSingular => Group.Length == 0 ? Singular : $"{Singular}.{Group}";

    public string QualifiedKind => Group.Length == 0 ? Kind : $"{Kind}.{Group}";

    public string Path(string? ns, string version)
    {
        var root = Group.Length == 0 ? $"/api/{version}" : $"/apis/{Group}/{version}";
        return string.IsNullOrEmpty(ns) || !IsNamespaced ? $"{root}/{Plural}" : $"{root}/namespaces/{ns}/{Plural}";
    }

    public string StoredPath(string? ns) => Path(ns, StoredVersion);
}

/// <summary>A column of a kind's table, with the cell for one object; priority 1 shows only in wide output.</summary>
public sealed record Column(string Title, string Type, int Priority, Func<Resource, DateTimeOffset, JsonNode?> Cell)
{
    public static readonly Column Name = new("Name", "string", 0, (r, _) => r.Name);

    public static readonly Column Age = new("Age", "string", 0, (r, now) => Values.HumanDuration.Format(now - r.Created));

    public static Column Text(string title, Func<Resource, string?> cell, int priority = 0) =>
        new(title, "string", priority, (r, _) => cell(r));

    public static Column Count(string title, Func<Resource, long> cell, int priority = 0) =>
        new(title, "integer", priority, (r, _) => cell(r));

    public static Column At(string title, params string[] path) => Text(title, r => r.Json.Text(path));
}
