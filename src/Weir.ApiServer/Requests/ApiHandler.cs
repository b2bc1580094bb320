using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Weir.ApiServer.Discovery;
using Weir.ApiServer.Patches;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.ApiServer.Requests;

/// <summary>The API server's one entry: takes a request apart, does it, and writes the answer. The only place that knows HTTP codes.</summary>
public sealed class ApiHandler(ResourceRegistry registry, IPodAccess pods)
{
    /// <summary>As etcd's limit on one object, which every Kubernetes user lives with.</summary>
    const int MaximumBody = 3 * 1024 * 1024;

    readonly WatchHandler watches = new(registry);

    public async Task HandleAsync(HttpContext context)
    {
        try
        {
            var path = context.Request.Path.Value ?? "/";
            if (await DiscoveryHandler.TryHandleAsync(context, registry.Catalog, path))
            {
                return;
            }

            if (ApiPath.Parse(registry.Catalog, path) is { } target)
            {
                await DispatchAsync(context, target);
            }
            else
            {
                await WriteStatusAsync(context, ApiStatus.NoRoute());
            }
        }
        catch (Exception e) when (e is JsonException or BadHttpRequestException)
        {
            await WriteStatusAsync(context, ApiStatus.BadRequest($"the body of the request could not be decoded: {e.Message}"));
        }
        catch (Encodings.ProtobufException e)
        {
            await WriteStatusAsync(context, new ApiStatus(415, "UnsupportedMediaType", e.Message));
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone; there is nobody to answer.
        }
        catch (IOException e) when (!context.Response.HasStarted)
        {
            await WriteStatusAsync(context, new ApiStatus(500, "InternalError", e.Message));
        }
    }

    Task DispatchAsync(HttpContext context, ApiPath path)
    {
        var isCollection = path.Name.Length == 0;
        var isWatch = context.Request.Query["watch"].ToString() is "true" or "1";
        return (context.Request.Method, path.Subresource) switch
        {
            ("GET", "") when isWatch => WatchAsync(context, path),
            ("GET", "") when isCollection => ListAsync(context, path),
            ("GET", "" or "status") => WriteResultAsync(context, path, registry.Get(path.Kind, path.Key), 200),
            ("POST", "") when isCollection => CreateAsync(context, path),
            ("PUT", "" or "status" or "finalize") when !isCollection => ReplaceAsync(context, path),
            ("PATCH", "" or "status") when !isCollection => PatchAsync(context, path),
            ("DELETE", "") when isCollection => DeleteCollectionAsync(context, path),
            ("DELETE", "") => DeleteAsync(context, path),
            ("GET", "scale") when path.Kind.HasScale => WriteScaleAsync(context, path, registry.Get(path.Kind, path.Key)),
            ("PUT" or "PATCH", "scale") when path.Kind.HasScale => ChangeScaleAsync(context, path),
            ("GET", "log") when path.Kind.Kind == "Pod" => LogAsync(context, path),
            ("GET" or "POST", "exec") when path.Kind.Kind == "Pod" => ExecAsync(context, path),
            (_, "" or "status" or "scale" or "log" or "exec") => WriteStatusAsync(context, new ApiStatus(405, "MethodNotAllowed",
                $"the server does not allow {context.Request.Method} on {context.Request.Path}")),
            _ => WriteStatusAsync(context, ApiStatus.NoRoute()),
        };
    }

    Task WatchAsync(HttpContext context, ApiPath path) =>
        ListRequest.Parse(context.Request, path, out var error) is { } list
            ? watches.HandleAsync(context, path, list)
            : WriteStatusAsync(context, ApiStatus.BadRequest(error!));

    async Task ListAsync(HttpContext context, ApiPath path)
    {
        if (ListRequest.Parse(context.Request, path, out var error) is not { } list)
        {
            await WriteStatusAsync(context, ApiStatus.BadRequest(error!));
            return;
        }

        var stored = registry.Store.List(ResourceRegistry.PrefixOf(path.Kind, path.Namespace));
        var version = stored.Revision.ToString(CultureInfo.InvariantCulture);
        var items = stored.Items.Select(i => i.Resource).Where(list.Matches);
        await WriteJsonAsync(context, 200, list.AsTable
            ? TableWriter.Write(path.Kind, path.Version, items, version, list.IncludeObject, registry.Time.GetUtcNow())
            : new JsonObject
            {
                ["kind"] = path.Kind.Kind + "List",
                ["apiVersion"] = path.Kind.ApiVersion(path.Version),
                ["metadata"] = new JsonObject { ["resourceVersion"] = version },
                ["items"] = new JsonArray([.. items.Select(i => Shown(path, i))]),
            });
    }

    async Task CreateAsync(HttpContext context, ApiPath path)
    {
        var body = await ReadObjectAsync(context);
        var ns = path.Kind.IsNamespaced && path.Namespace.Length == 0 ? body.Text("metadata", "namespace") ?? "default" : path.Namespace;
        var result = await registry.CreateAsync(path.Kind, path.Version, ns, body, Options(context), context.RequestAborted);
        await WriteResultAsync(context, path, result, 201);
    }

    async Task ReplaceAsync(HttpContext context, ApiPath path)
    {
        var body = await ReadObjectAsync(context);
        var result = await registry.UpdateAsync(
            path, _ => new Resource(body.DeepClone().AsObject()), Options(context), context.RequestAborted);
        await WriteResultAsync(context, path, result, 200);
    }

    async Task PatchAsync(HttpContext context, ApiPath path)
    {
        var patch = await ReadAsync(context);
        var mediaType = MediaType(context);
        var result = await registry.UpdateAsync(
            path, current => ApplyPatch(path.Kind, path.Version, mediaType, current, patch), Options(context), context.RequestAborted);
        await WriteResultAsync(context, path, result, 200);
    }

    static ApiResult ApplyPatch(ResourceKind kind, string version, string mediaType, Resource current, JsonNode patch)
    {
        // A patch is written against the version it is sent to, without the version number of what it found.
        kind.FromStored(current.Json, version);
        current.Json["apiVersion"] = kind.ApiVersion(version);
        current.Metadata.Remove("resourceVersion");
        try
        {
            var patched = mediaType switch
            {
                "application/json-patch+json" => JsonPatch.Apply(current.Json, patch),
                "application/merge-patch+json" => MergePatch.Apply(current.Json, patch),
                "application/strategic-merge-patch+json" when kind.IsBuiltIn && patch is JsonObject changes =>
                    StrategicMergePatch.Apply(kind.Schema, current.Json, changes),
                _ => null,
            };
            return patched is JsonObject json
                ? new Resource(json)
                : new ApiStatus(415, "UnsupportedMediaType", mediaType == "application/apply-patch+yaml"
                    ? "server-side apply is not supported: use kubectl apply without --server-side"
                    : $"the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json{(kind.IsBuiltIn ? ", application/strategic-merge-patch+json" : "")}");
        }
        catch (PatchException e)
        {
            return new ApiStatus(422, "Invalid", e.Message);
        }
    }

    async Task DeleteAsync(HttpContext context, ApiPath path)
    {
        var result = await registry.DeleteAsync(path.Kind, path.Key, await ReadDeleteOptionsAsync(context), context.RequestAborted);
        if (result.Resource is { } deleted && registry.Find(path.Kind, path.Key) is null)
        {
            await WriteJsonAsync(context, 200, new JsonObject
            {
                ["kind"] = "Status",
                ["apiVersion"] = "v1",
                ["metadata"] = new JsonObject(),
                ["status"] = "Success",
                ["details"] = new JsonObject { ["name"] = path.Name, ["group"] = path.Kind.Group, ["kind"] = path.Kind.Plural, ["uid"] = deleted.Uid },
            });
            return;
        }

        await WriteResultAsync(context, path, result, 200);
    }

    async Task DeleteCollectionAsync(HttpContext context, ApiPath path)
    {
        if (ListRequest.Parse(context.Request, path, out var error) is not { } list)
        {
            await WriteStatusAsync(context, ApiStatus.BadRequest(error!));
            return;
        }

        var options = await ReadDeleteOptionsAsync(context);
        foreach (var item in registry.Store.List(ResourceRegistry.PrefixOf(path.Kind, path.Namespace)).Items.Where(i => list.Matches(i.Resource)))
        {
            await registry.DeleteAsync(path.Kind, item.Resource.Key, options, context.RequestAborted);
        }

        await ListAsync(context, path);
    }

    async Task ChangeScaleAsync(HttpContext context, ApiPath path)
    {
        var body = await ReadAsync(context);
        var isPatch = context.Request.Method == "PATCH";
        var mediaType = MediaType(context);
        var result = await registry.UpdateAsync(path with { Subresource = "" }, current =>
        {
            var scale = ScaleOf(current);
            if (isPatch)
            {
                scale = (mediaType == "application/json-patch+json" ? JsonPatch.Apply(scale, body) : MergePatch.Apply(scale, body)) as JsonObject ?? [];
            }
            else
            {
                scale = body as JsonObject ?? [];
                if (scale.Text("metadata", "resourceVersion") is { Length: > 0 } version && version != current.ResourceVersion)
                {
                    return ApiStatus.Conflict(path.Kind, path.Name);
                }
            }

            current.Json["spec"]!["replicas"] = scale.Number("spec", "replicas") ?? 0;
            current.Metadata.Remove("resourceVersion");
            return current;
        }, Options(context), context.RequestAborted);
        await WriteScaleAsync(context, path, result);
    }

    static Task WriteScaleAsync(HttpContext context, ApiPath path, ApiResult result) =>
        result.Resource is { } resource ? WriteJsonAsync(context, 200, ScaleOf(resource)) : WriteStatusAsync(context, result.Error!);

    static JsonObject ScaleOf(Resource resource)
    {
        var metadata = new JsonObject();
        foreach (var field in new[] { "name", "namespace", "uid", "resourceVersion", "creationTimestamp" })
        {
            metadata[field] = resource.Metadata[field]?.DeepClone();
        }

        return new JsonObject
        {
            ["kind"] = "Scale",
            ["apiVersion"] = "autoscaling/v1",
            ["metadata"] = metadata,
            ["spec"] = new JsonObject { ["replicas"] = resource.Spec.Number("replicas") ?? 1 },
            ["status"] = new JsonObject
            {
                ["replicas"] = resource.Status.Number("replicas") ?? 0,
                ["selector"] = LabelSelector.FromJson(resource.Spec["selector"]).ToString(),
            },
        };
    }

    async Task LogAsync(HttpContext context, ApiPath path)
    {
        if (!TryFindContainer(path, context.Request.Query["container"], out var pod, out var container, out var error))
        {
            await WriteStatusAsync(context, error);
            return;
        }

        var query = context.Request.Query;
        var options = new LogOptions(
            query["follow"] == "true",
            int.TryParse(query["tailLines"], out var lines) ? lines : null,
            long.TryParse(query["limitBytes"], out var bytes) ? bytes : null,
            query["previous"] == "true");
        context.Response.ContentType = "text/plain";
        if (await pods.WriteLogAsync(pod, container, options, context.Response.Body, context.RequestAborted) is { } failed
            && !context.Response.HasStarted)
        {
            await WriteStatusAsync(context, failed);
        }
    }

    Task ExecAsync(HttpContext context, ApiPath path) =>
        TryFindContainer(path, context.Request.Query["container"], out var pod, out var container, out var error)
            ? ExecHandler.HandleAsync(context, pods, pod, container)
            : WriteStatusAsync(context, error);

    bool TryFindContainer(ApiPath path, string? wanted, out Resource pod, out string container, out ApiStatus error)
    {
        pod = registry.Find(path.Kind, path.Key)!;
        container = wanted ?? "";
        error = ApiStatus.NotFound(path.Kind, path.Name);
        if (pod is null)
        {
            return false;
        }

        var names = pod.Spec.Objects("initContainers").Concat(pod.Spec.Objects("containers")).Select(c => c.Text("name") ?? "").ToList();
        if (container.Length == 0)
        {
            // As kubectl: the annotation, else the only container that is not a sidecar's.
            var candidates = pod.Spec.Objects("containers").Select(c => c.Text("name") ?? "").Where(n => n != "istio-proxy").ToList();
            container = pod.Annotations.GetValueOrDefault("kubectl.kubernetes.io/default-container") ?? (candidates.Count == 1 ? candidates[0] : "");
        }

        if (!names.Contains(container))
        {
            error = ApiStatus.BadRequest(container.Length == 0
                ? $"a container name must be specified for pod {path.Name}, choose one of: [{string.Join(' ', names)}]"
                : $"container {container} is not valid for pod {path.Name}");
            return false;
        }

        return true;
    }

    /// <summary>The object in the version that was asked for.</summary>
    internal static JsonObject Shown(ApiPath path, Resource resource)
    {
        var json = resource.Json.DeepClone().AsObject();
        path.Kind.FromStored(json, path.Version);
        json["apiVersion"] = path.Kind.ApiVersion(path.Version);
        return json;
    }

    async Task WriteResultAsync(HttpContext context, ApiPath path, ApiResult result, int code)
    {
        if (result.Error is { } error)
        {
            await WriteStatusAsync(context, error);
            return;
        }

        foreach (var warning in result.Warnings ?? [])
        {
            context.Response.Headers.Append("Warning", $"299 - \"{warning.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
        }

        await WriteJsonAsync(context, code, ListRequest.WantsTable(context.Request)
            ? TableWriter.Write(path.Kind, path.Version, [result.Resource!], result.Resource!.ResourceVersion,
                context.Request.Query["includeObject"], registry.Time.GetUtcNow())
            : Shown(path, result.Resource!));
    }

    internal static Task WriteStatusAsync(HttpContext context, ApiStatus status) => WriteJsonAsync(context, status.Code, status.ToJson());

    internal static async Task WriteJsonAsync(HttpContext context, int code, JsonObject json, string contentType = "application/json")
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(json, Resource.JsonOptions);
        context.Response.StatusCode = code;
        context.Response.ContentType = contentType;
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }

    static WriteOptions Options(HttpContext context)
    {
        var query = context.Request.Query;
        return new WriteOptions(
            query["fieldValidation"].ToString() is { Length: > 0 } validation ? validation : "Warn", query["dryRun"] == "All");
    }

    static async Task<DeleteOptions> ReadDeleteOptionsAsync(HttpContext context)
    {
        var query = context.Request.Query;
        var body = context.Request.ContentLength is null or 0 ? null : await ReadAsync(context);
        var grace = body.Number("gracePeriodSeconds") ?? (int.TryParse(query["gracePeriodSeconds"], out var seconds) ? seconds : null);
        return new DeleteOptions(
            body.Text("propagationPolicy") ?? (query["propagationPolicy"].ToString() is { Length: > 0 } policy ? policy : "Background"),
            (int?)grace, body.Text("preconditions", "uid"), body.Text("preconditions", "resourceVersion"),
            body.Texts("dryRun").Contains("All") || query["dryRun"] == "All");
    }

    static string MediaType(HttpContext context) => (context.Request.ContentType ?? "").Split(';')[0].Trim();

    static async Task<JsonObject> ReadObjectAsync(HttpContext context) =>
        await ReadAsync(context) as JsonObject ?? throw new JsonException("a JSON object was expected");

    static async Task<JsonNode> ReadAsync(HttpContext context)
    {
        if (context.Request.ContentLength > MaximumBody)
        {
            throw new JsonException($"the request is larger than {MaximumBody} bytes");
        }

        using var buffer = new MemoryStream();
        var chunk = new byte[16 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(chunk, context.RequestAborted)) > 0)
        {
            buffer.Write(chunk, 0, read);
            if (buffer.Length > MaximumBody)
            {
                throw new JsonException($"the request is larger than {MaximumBody} bytes");
            }
        }

        var bytes = buffer.GetBuffer().AsMemory(0, (int)buffer.Length);
        if (MediaType(context).EndsWith("yaml", StringComparison.Ordinal))
        {
            try
            {
                return Resources.Yaml.YamlReader.Parse(System.Text.Encoding.UTF8.GetString(bytes.Span)).FirstOrDefault()
                    ?? throw new JsonException("the body is empty");
            }
            catch (Resources.Yaml.YamlSyntaxException e)
            {
                throw new JsonException(e.Message);
            }
        }

        if (MediaType(context) == Encodings.KubernetesProtobuf.MediaType)
        {
            return Encodings.KubernetesProtobuf.Read(bytes.ToArray());
        }

        return JsonNode.Parse(bytes.Span) ?? throw new JsonException("the body is empty");
    }
}
