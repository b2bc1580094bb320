using Weir.Resources.Schemas;

namespace Weir.Resources.Kinds;

/// <summary>All kinds, by group and by the names users know them under.</summary>
public sealed class KindCatalog
{
    static readonly string[] SchemaFiles = ["meta", "core", "apps", "istio", "flagger"];

    readonly Dictionary<(string Group, string Plural), ResourceKind> byPlural = [];
    readonly Dictionary<(string Group, string Kind), ResourceKind> byKind = [];

    public static readonly KindCatalog Default = new();

    KindCatalog()
    {
        var types = new Dictionary<string, Schema>(StringComparer.Ordinal);
        foreach (var file in SchemaFiles)
        {
            using var stream = typeof(KindCatalog).Assembly.GetManifestResourceStream($"Weir.Resources.Schemas.{file}.schema")!;
            SchemaParser.ParseInto(types, new StreamReader(stream).ReadToEnd());
        }

        Schema Root(string kind)
        {
            var schema = types[kind];
            schema.Fields["apiVersion"] = new SchemaField("apiVersion", new Schema(SchemaType.Text));
            schema.Fields["kind"] = new SchemaField("kind", new Schema(SchemaType.Text));
            schema.Fields["metadata"] = new SchemaField("metadata", types["ObjectMeta"]);
            return schema;
        }

        foreach (var kind in CoreKinds.All(Root).Concat(AppsKinds.All(Root)).Concat(IstioKinds.All(Root)).Concat(FlaggerKinds.All(Root)))
        {
            byPlural.Add((kind.Group, kind.Plural), kind);
            byKind.Add((kind.Group, kind.Kind), kind);
        }

        Types = types;
    }

    public IReadOnlyDictionary<string, Schema> Types { get; }

    public IEnumerable<ResourceKind> All => byPlural.Values;

    public ResourceKind? Find(string group, string plural) => byPlural.GetValueOrDefault((group, plural));

    public ResourceKind? FindKind(string apiVersion, string kind)
    {
        var slash = apiVersion.IndexOf('/', StringComparison.Ordinal);
        var (group, version) = slash < 0 ? ("", apiVersion) : (apiVersion[..slash], apiVersion[(slash + 1)..]);
        return byKind.TryGetValue((group, kind), out var found) && found.Versions.Contains(version) ? found : null;
    }

    public ResourceKind Get(string group, string kind) => byKind[(group, kind)];

    /// <summary>By any name kubectl accepts: plural, singular, kind, short name, each optionally with <c>.group</c>.</summary>
    public ResourceKind? FindByName(string name)
    {
        name = name.ToLowerInvariant();
        var dot = name.IndexOf('.', StringComparison.Ordinal);
        var (bare, group) = dot < 0 ? (name, null) : (name[..dot], name[(dot + 1)..]);
        return All.FirstOrDefault(k => (group is null || k.Group == group || k.Versions.Any(v => $"{v}.{k.Group}" == group))
            && (k.Plural == bare || k.Singular == bare || k.ShortNames.Contains(bare)));
    }

    public IReadOnlyList<ResourceKind> FindByCategory(string category) => [.. All.Where(k => k.Categories.Contains(category))];
}
