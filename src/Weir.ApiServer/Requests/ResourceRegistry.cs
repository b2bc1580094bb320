using System.Globalization;
using System.Text.Json.Nodes;
using Weir.ApiServer.Storage;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Schemas;

namespace Weir.ApiServer.Requests;

/// <summary>An object, or why there is none.</summary>
public readonly record struct ApiResult(Resource? Resource, ApiStatus? Error)
{
    public IReadOnlyList<string> Warnings { get; init; } = [];

    public static implicit operator ApiResult(ApiStatus error) => new(null, error);

    public static implicit operator ApiResult(Resource resource) => new(resource, null);
}

/// <summary>How a write is to be checked and whether it is to happen.</summary>
/// <param name="FieldValidation">Strict, Warn or Ignore: what unknown fields lead to.</param>
public sealed record WriteOptions(string FieldValidation = "Warn", bool IsDryRun = false);

public sealed record DeleteOptions(string Propagation = "Background", int? GraceSeconds = null, string? Uid = null, string? ResourceVersion = null, bool IsDryRun = false);

/// <summary>
/// Create, read, update and delete with Kubernetes' semantics: defaulting, validation, admission, optimistic concurrency,
/// generations, finalizers and graceful deletion.
/// </summary>
public sealed class ResourceRegistry(IObjectStore store, KindCatalog catalog, IReadOnlyList<IAdmission> admissions, TimeProvider time)
{
    /// <summary>Attempts at a patch that others keep overtaking.</summary>
    const int MaximumConflicts = 200;

    readonly Random random = new();

    public IObjectStore Store { get; } = store;

    public KindCatalog Catalog { get; } = catalog;

    public TimeProvider Time { get; } = time;

    public static string PrefixOf(ResourceKind kind, string ns = "")
    {
        // Both event groups are one set of objects.
        var group = kind.Group.Length == 0 || kind.Kind == "Event" ? "core" : kind.Group;
        return ns.Length == 0 ? $"/{group}/{kind.Plural}/" : $"/{group}/{kind.Plural}/{ns}/";
    }

    static string KeyOf(ResourceKind kind, ObjectKey key) => PrefixOf(kind, key.Namespace) + key.Name;

    public Resource? Find(ResourceKind kind, ObjectKey key) => Store.Get(KeyOf(kind, key))?.Resource;

    public ApiResult Get(ResourceKind kind, ObjectKey key) =>
        Find(kind, key) is { } found ? found : ApiStatus.NotFound(kind, key.Name);

    public async Task<ApiResult> CreateAsync(
        ResourceKind kind, string version, string ns, JsonObject body, WriteOptions options, CancellationToken cancel)
    {
        if (Prepare(kind, version, body, options, out var warnings) is { } malformed)
        {
            return malformed;
        }

        var resource = new Resource(body);
        if (kind.IsNamespaced && resource.Namespace.Length > 0 && resource.Namespace != ns)
        {
            return ApiStatus.BadRequest("the namespace of the provided object does not match the namespace sent on the request");
        }

        Stamp(kind, resource, ns);
        ResourceChecks.ApplyDefaults(kind, resource);
        if (CheckNamespace(kind, resource) is { } refused)
        {
            return refused;
        }

        if (Check(kind, resource, null, admit: true) is { } invalid)
        {
            return invalid;
        }

        if (Find(kind, resource.Key) is not null)
        {
            return ApiStatus.AlreadyExists(kind, resource.Name);
        }

        if (options.IsDryRun)
        {
            return new ApiResult(resource, null) { Warnings = warnings };
        }

        var written = await Store.WriteAsync(KeyOf(kind, resource.Key), resource.ToBytes(), 0, cancel);
        return written.IsConflict
            ? ApiStatus.AlreadyExists(kind, resource.Name)
            : new ApiResult(written.Object!.Resource, null) { Warnings = warnings };
    }

    /// <summary>
    /// Changes an existing object. <paramref name="change"/> gets a copy of what is stored and gives the new object; it is called
    /// again when another writer came first, unless the result names a resource version.
    /// </summary>
    public async Task<ApiResult> UpdateAsync(
        ApiPath path, Func<Resource, ApiResult> change, WriteOptions options, CancellationToken cancel)
    {
        var kind = path.Kind;
        for (var attempt = 0; attempt < MaximumConflicts; attempt++)
        {
            var stored = Store.Get(KeyOf(kind, path.Key));
            if (stored is null)
            {
                return ApiStatus.NotFound(kind, path.Name);
            }

            var changed = change(stored.Parse(stored.Revision));
            if (changed.Error is not null)
            {
                return changed;
            }

            var resource = changed.Resource!;
            if (Prepare(kind, path.Version, resource.Json, options, out var warnings) is { } malformed)
            {
                return malformed;
            }

            if (resource.Name != path.Name)
            {
                return ApiStatus.BadRequest(
                    $"the name of the object ({resource.Name}) does not match the name on the URL ({path.Name})");
            }

            var version = resource.ResourceVersion;
            if (version.Length > 0 && version != stored.Revision.ToString(CultureInfo.InvariantCulture))
            {
                return ApiStatus.Conflict(kind, path.Name);
            }

            if (resource.Uid.Length > 0 && resource.Uid != stored.Resource.Uid)
            {
                return ApiStatus.Conflict(kind, path.Name,
                    $"Precondition failed: UID in precondition: {resource.Uid}, UID in object meta: {stored.Resource.Uid}");
            }

            var next = Carry(kind, stored.Resource, resource, path.Subresource);
            ResourceChecks.ApplyDefaults(kind, next);
            if (Check(kind, next, stored.Resource, admit: path.Subresource.Length == 0) is { } invalid)
            {
                return invalid;
            }

            var bytes = next.ToBytes();
            if (options.IsDryRun || JsonNode.DeepEquals(WithoutVersion(stored.Resource), next.Json))
            {
                next.Metadata["resourceVersion"] = stored.Resource.ResourceVersion;
                return new ApiResult(next, null) { Warnings = warnings };
            }

            var isGone = next.IsDeleting && IsReleased(kind, next);
            var written = await Store.WriteAsync(stored.Key, isGone ? null : bytes, stored.Revision, cancel);
            if (!written.IsConflict)
            {
                return new ApiResult(isGone ? next : written.Object!.Resource, null) { Warnings = warnings };
            }

            if (version.Length > 0)
            {
                return ApiStatus.Conflict(kind, path.Name);
            }
        }

        return ApiStatus.Conflict(kind, path.Name);
    }

    public async Task<ApiResult> DeleteAsync(ResourceKind kind, ObjectKey key, DeleteOptions options, CancellationToken cancel)
    {
        for (var attempt = 0; attempt < MaximumConflicts; attempt++)
        {
            var stored = Store.Get(KeyOf(kind, key));
            if (stored is null)
            {
                return ApiStatus.NotFound(kind, key.Name);
            }

            if (options.Uid is not null && options.Uid != stored.Resource.Uid)
            {
                return ApiStatus.Conflict(kind, key.Name,
                    $"Precondition failed: UID in precondition: {options.Uid}, UID in object meta: {stored.Resource.Uid}");
            }

            if (options.ResourceVersion is not null && options.ResourceVersion != stored.Resource.ResourceVersion)
            {
                return ApiStatus.Conflict(kind, key.Name, "Precondition failed: the resource version in the precondition is not the current one");
            }

            var next = MarkForDeletion(kind, stored.Resource, options);
            if (options.IsDryRun || JsonNode.DeepEquals(next.Json, WithoutVersion(stored.Resource)))
            {
                return stored.Resource;
            }

            var written = await Store.WriteAsync(stored.Key, IsReleased(kind, next) ? null : next.ToBytes(), stored.Revision, cancel);
            if (!written.IsConflict)
            {
                return written.Object!.Resource;
            }
        }

        return ApiStatus.Conflict(kind, key.Name);
    }

    /// <summary>Checks that belong to the request rather than to the object, and the move to the stored version.</summary>
    static ApiStatus? Prepare(ResourceKind kind, string version, JsonObject body, WriteOptions options, out IReadOnlyList<string> warnings)
    {
        warnings = [];
        if (body["metadata"] is not JsonObject)
        {
            if (body["metadata"] is not null)
            {
                return ApiStatus.BadRequest("metadata must be an object");
            }

            body["metadata"] = new JsonObject();
        }

        body["apiVersion"] ??= kind.ApiVersion(version);
        body["kind"] ??= kind.Kind;
        var apiVersion = body.Text("apiVersion")!;
        if (body.Text("kind") != kind.Kind || (apiVersion != kind.ApiVersion(version) && apiVersion != kind.StoredApiVersion))
        {
            return ApiStatus.BadRequest(
                $"the object provided ({apiVersion}, Kind={body.Text("kind")}) does not match the API it was sent to ({kind.ApiVersion(version)}, Kind={kind.Kind})");
        }

        if (apiVersion == kind.ApiVersion(version))
        {
            kind.ToStored(body, version);
        }

        body["apiVersion"] = kind.Kind == "Event" ? "v1" : kind.StoredApiVersion;
        if (options.FieldValidation == "Ignore")
        {
            return null;
        }

        var unknown = SchemaValidator.UnknownFields(kind.Schema, body).Select(f => $"unknown field \"{f}\"").ToList();
        if (unknown.Count > 0 && options.FieldValidation == "Strict")
        {
            return ApiStatus.BadRequest(
                $"{kind.Kind} in version \"{version}\" cannot be handled as a {kind.Kind}: strict decoding error: {string.Join(", ", unknown)}");
        }

        warnings = unknown;
        return null;
    }

    void Stamp(ResourceKind kind, Resource resource, string ns)
    {
        var metadata = resource.Metadata;
        if (kind.IsNamespaced)
        {
            metadata["namespace"] = ns;
        }
        else
        {
            metadata.Remove("namespace");
        }

        if (string.IsNullOrEmpty(metadata.Text("name")) && metadata.Text("generateName") is { } prefix)
        {
            metadata["name"] = prefix + RandomSuffix();
        }

        foreach (var owned in new[] { "resourceVersion", "selfLink", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds" })
        {
            metadata.Remove(owned);
        }

        metadata["uid"] = Guid.NewGuid().ToString();
        metadata["creationTimestamp"] = Time.GetUtcNow().ToTimestamp();
        if (resource.Json.ContainsKey("spec") && kind.Kind != "Namespace")
        {
            metadata["generation"] = 1;
        }

        if (kind.HasStatus)
        {
            resource.Json.Remove("status");
        }

        switch (kind.Kind)
        {
            case "Namespace":
                resource.Json["spec"] = new JsonObject { ["finalizers"] = new JsonArray("kubernetes") };
                resource.Json["status"] = new JsonObject { ["phase"] = "Active" };
                var labels = metadata["labels"] as JsonObject ?? [];
                labels["kubernetes.io/metadata.name"] = resource.Name;
                metadata["labels"] = labels;
                break;
            case "Pod":
                resource.Json["status"] = new JsonObject { ["phase"] = "Pending", ["qosClass"] = "Burstable" };
                break;
        }
    }

    ApiStatus? CheckNamespace(ResourceKind kind, Resource resource)
    {
        if (!kind.IsNamespaced)
        {
            return null;
        }

        var namespaces = Catalog.Get("", "Namespace");
        var ns = Find(namespaces, new ObjectKey("", resource.Namespace));
        if (ns is null)
        {
            return ApiStatus.NotFound(namespaces, resource.Namespace);
        }

        // Controllers may still report on what is going away.
        return ns.IsDeleting && kind.Kind != "Event"
            ? ApiStatus.Forbidden(kind, resource.Name,
                $"unable to create new content in namespace {resource.Namespace} because it is being terminated")
            : null;
    }

    ApiStatus? Check(ResourceKind kind, Resource resource, Resource? old, bool admit)
    {
        var violations = ResourceChecks.Validate(kind, resource, old);
        if (violations.Count == 0 && admit)
        {
            foreach (var admission in admissions)
            {
                violations.AddRange(admission.Admit(kind, resource, old));
            }
        }

        return violations.Count == 0 ? null : ApiStatus.Invalid(kind, resource.Name, violations);
    }

    /// <summary>What of the new object counts under this subresource, with what the server owns carried over from the old.</summary>
    static Resource Carry(ResourceKind kind, Resource old, Resource changed, string subresource)
    {
        Resource next;
        if (subresource == "status")
        {
            next = old.Copy();
            next.Json["status"] = changed.Json["status"]?.DeepClone();
        }
        else
        {
            next = changed;
            if (kind.HasStatus)
            {
                next.Json["status"] = old.Json["status"]?.DeepClone();
            }

            if (kind.Kind == "Namespace" && subresource != "finalize")
            {
                next.Json["spec"] = old.Json["spec"]?.DeepClone();
            }
        }

        if (next.Json["status"] is null)
        {
            next.Json.Remove("status");
        }

        foreach (var owned in new[] { "uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "namespace" })
        {
            if (old.Metadata[owned] is { } value)
            {
                next.Metadata[owned] = value.DeepClone();
            }
            else
            {
                next.Metadata.Remove(owned);
            }
        }

        next.Metadata.Remove("resourceVersion");
        next.Metadata.Remove("managedFields");
        if (old.Metadata["generation"] is not null && !JsonNode.DeepEquals(old.Json["spec"], next.Json["spec"]))
        {
            next.Metadata["generation"] = old.Generation + 1;
        }

        return next;
    }

    Resource MarkForDeletion(ResourceKind kind, Resource stored, DeleteOptions options)
    {
        var next = new Resource(WithoutVersion(stored));
        var grace = kind.Kind == "Pod" ? PodGrace(next, options) : 0;
        if (!next.IsDeleting)
        {
            next.Metadata["deletionTimestamp"] = (Time.GetUtcNow() + TimeSpan.FromSeconds(grace)).ToTimestamp();
            next.Metadata["deletionGracePeriodSeconds"] = grace;
            if (options.Propagation is "Foreground" or "Orphan")
            {
                AddFinalizer(next, options.Propagation == "Orphan" ? "orphan" : "foregroundDeletion");
            }

            if (kind.Kind == "Namespace")
            {
                next.Json["status"] = new JsonObject { ["phase"] = "Terminating" };
            }
        }
        else if (grace < next.Metadata.Number("deletionGracePeriodSeconds"))
        {
            next.Metadata["deletionGracePeriodSeconds"] = grace;
        }

        return next;
    }

    static int PodGrace(Resource pod, DeleteOptions options)
    {
        // A pod that no node has taken has nothing to stop.
        var isRunning = pod.Spec.Text("nodeName") is not null && pod.Status.Text("phase") is not ("Succeeded" or "Failed");
        return isRunning ? options.GraceSeconds ?? (int)(pod.Spec.Number("terminationGracePeriodSeconds") ?? 30) : 0;
    }

    static void AddFinalizer(Resource resource, string finalizer)
    {
        if (!resource.Metadata.Texts("finalizers").Contains(finalizer))
        {
            var list = resource.Metadata["finalizers"] as JsonArray ?? [];
            list.Add(finalizer);
            resource.Metadata["finalizers"] = list;
        }
    }

    /// <summary>True when nothing holds a deleted object back any more.</summary>
    static bool IsReleased(ResourceKind kind, Resource resource) =>
        !resource.Metadata.Texts("finalizers").Any()
        && (kind.Kind != "Namespace" || !resource.Spec.Texts("finalizers").Any())
        && (kind.Kind != "Pod" || resource.Metadata.Number("deletionGracePeriodSeconds") is null or 0);

    static JsonObject WithoutVersion(Resource resource)
    {
        var json = resource.Json.DeepClone().AsObject();
        (json["metadata"] as JsonObject)?.Remove("resourceVersion");
        return json;
    }

    string RandomSuffix()
    {
        // No vowels and nothing that looks like another character, as Kubernetes' own names.
        const string alphabet = "bcdfghjklmnpqrstvwxz2456789";
        lock (random)
        {
            return string.Concat(Enumerable.Range(0, 5).Select(_ => alphabet[random.Next(alphabet.Length)]));
        }
    }
}
