using System.Text.Json;
using System.Text.Json.Nodes;

namespace Weir.Resources;

/// <summary>
/// One Kubernetes object as its JSON, so that unknown fields survive a round trip. Instances that came from a store or an
/// informer are shared: read them, and <see cref="Copy"/> before changing anything.
/// </summary>
public sealed class Resource(JsonObject json)
{
    public static readonly JsonSerializerOptions JsonOptions = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = false,
        DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public JsonObject Json { get; } = json;

    public static Resource Parse(ReadOnlySpan<byte> utf8) =>
        new(JsonNode.Parse(utf8)?.AsObject() ?? throw new JsonException("not a JSON object"));

    public static Resource New(string apiVersion, string kind, string? ns, string name)
    {
        var metadata = new JsonObject { ["name"] = name };
        if (ns is not null)
        {
            metadata["namespace"] = ns;
        }

        return new Resource(new JsonObject { ["apiVersion"] = apiVersion, ["kind"] = kind, ["metadata"] = metadata });
    }

    public string ApiVersion => Json.Text("apiVersion") ?? "";
    public string Kind => Json.Text("kind") ?? "";
    public JsonObject Metadata => Json["metadata"] as JsonObject ?? AddObject("metadata");
    public string Name => Metadata.Text("name") ?? "";
    public string Namespace => Metadata.Text("namespace") ?? "";
    public ObjectKey Key => new(Namespace, Name);
    public string Uid => Metadata.Text("uid") ?? "";
    public string ResourceVersion => Metadata.Text("resourceVersion") ?? "";
    public long Generation => Metadata.Number("generation") ?? 0;
    public bool IsDeleting => Metadata["deletionTimestamp"] is not null;
    public DateTimeOffset Created => Metadata.Time("creationTimestamp") ?? DateTimeOffset.UnixEpoch;

    public JsonObject Spec => Json["spec"] as JsonObject ?? Empty;
    public JsonObject Status => Json["status"] as JsonObject ?? Empty;

    public IReadOnlyDictionary<string, string> Labels => Metadata.TextMap("labels");
    public IReadOnlyDictionary<string, string> Annotations => Metadata.TextMap("annotations");
    public IEnumerable<OwnerReference> Owners => Metadata.Objects("ownerReferences").Select(OwnerReference.From);
    public OwnerReference? Controller => Owners.FirstOrDefault(o => o.Controller);

    /// <summary>A typed view of the whole object; fields the view does not name are left out of it, not out of the object.</summary>
    public T As<T>() => Json.Deserialize<T>(JsonOptions)!;

    public T SpecAs<T>() => Spec.Deserialize<T>(JsonOptions)!;

    public T StatusAs<T>() => Status.Deserialize<T>(JsonOptions)!;

    public Resource Copy() => new(Json.DeepClone().AsObject());

    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(Json, JsonOptions);

    public Resource With(string field, JsonNode? value)
    {
        Json[field] = value;
        return this;
    }

    public Resource OwnedBy(Resource owner, bool controller = true)
    {
        Metadata["ownerReferences"] = new JsonArray(new JsonObject
        {
            ["apiVersion"] = owner.ApiVersion,
            ["kind"] = owner.Kind,
            ["name"] = owner.Name,
            ["uid"] = owner.Uid,
            ["controller"] = controller,
            ["blockOwnerDeletion"] = true,
        });
        return this;
    }

    public override string ToString() => $"{Kind} {Key}";

    static JsonObject Empty => [];

    JsonObject AddObject(string name)
    {
        var added = new JsonObject();
        Json[name] = added;
        return added;
    }
}

public sealed record OwnerReference(string ApiVersion, string Kind, string Name, string Uid, bool Controller)
{
    public static OwnerReference From(JsonObject json) => new(
        json.Text("apiVersion") ?? "", json.Text("kind") ?? "", json.Text("name") ?? "", json.Text("uid") ?? "",
        json.Flag("controller"));
}

/// <summary>Namespace and name; the namespace is empty for cluster-scoped kinds.</summary>
public readonly record struct ObjectKey(string Namespace, string Name)
{
    public override string ToString() => Namespace.Length == 0 ? Name : $"{Namespace}/{Name}";
}
