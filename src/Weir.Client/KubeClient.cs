using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Client;

public enum PatchType
{
    Merge,
    Strategic,
    Json,
}

public enum WatchEventType
{
    Added,
    Modified,
    Deleted,
    Bookmark,

    /// <summary>The resource version asked for is too old: list again.</summary>
    Expired,
}

public readonly record struct WatchEvent(WatchEventType Type, Resource Resource);

public sealed record ResourceList(string ResourceVersion, IReadOnlyList<Resource> Items);

/// <summary>
/// The one door to a Kubernetes API server, real or embedded: <paramref name="http"/> decides which. Reads give null for what is
/// not there; writes give an outcome; a broken connection is an <see cref="HttpRequestException"/>.
/// </summary>
public sealed class KubeClient(HttpClient http)
{
    /// <summary>How often a read-modify-write is tried again after a conflict.</summary>
    const int MaximumConflicts = 8;

    public HttpClient Http { get; } = http;

    public async Task<Resource?> GetAsync(ResourceKind kind, ObjectKey key, CancellationToken cancel)
    {
        using var response = await Http.GetAsync(PathOf(kind, key), cancel);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }

        var body = await ReadAsync(response, cancel);
        return response.IsSuccessStatusCode ? new Resource(body) : throw new KubeApiException(body.Text("message") ?? "request failed");
    }

    public async Task<ResourceList> ListAsync(
        ResourceKind kind, string? ns, CancellationToken cancel, string? labelSelector = null, string? fieldSelector = null)
    {
        var query = Query(("labelSelector", labelSelector), ("fieldSelector", fieldSelector));
        using var response = await Http.GetAsync(kind.StoredPath(ns) + query, cancel);
        var body = await ReadAsync(response, cancel);
        if (!response.IsSuccessStatusCode)
        {
            throw new KubeApiException(body.Text("message") ?? "list failed");
        }

        var items = new List<Resource>();
        foreach (var item in body.Objects("items").ToList())
        {
            item["apiVersion"] ??= kind.StoredApiVersion;
            item["kind"] ??= kind.Kind;
            items.Add(new Resource(item));
        }

        return new ResourceList(body.Text("metadata", "resourceVersion") ?? "", items);
    }

    /// <summary>Events after <paramref name="resourceVersion"/>, until the server ends the watch or the token is cancelled.</summary>
    public async IAsyncEnumerable<WatchEvent> WatchAsync(
        ResourceKind kind, string? ns, string resourceVersion, [EnumeratorCancellation] CancellationToken cancel)
    {
        var query = Query(("watch", "true"), ("resourceVersion", resourceVersion), ("allowWatchBookmarks", "true"));
        using var request = new HttpRequestMessage(HttpMethod.Get, kind.StoredPath(ns) + query);
        using var response = await Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        if (response.StatusCode == HttpStatusCode.Gone)
        {
            yield return new WatchEvent(WatchEventType.Expired, new Resource([]));
            yield break;
        }

        response.EnsureSuccessStatusCode();
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(cancel));
        while (await lines.ReadLineAsync(cancel) is { } line)
        {
            var json = JsonNode.Parse(line)!.AsObject();
            json.Remove("object", out var node);
            var resource = new Resource(node!.AsObject());
            yield return json.Text("type") switch
            {
                "ADDED" => new WatchEvent(WatchEventType.Added, resource),
                "MODIFIED" => new WatchEvent(WatchEventType.Modified, resource),
                "DELETED" => new WatchEvent(WatchEventType.Deleted, resource),
                "BOOKMARK" => new WatchEvent(WatchEventType.Bookmark, resource),
                _ => new WatchEvent(WatchEventType.Expired, resource),
            };
        }
    }

    public Task<WriteResult> CreateAsync(ResourceKind kind, Resource resource, CancellationToken cancel) =>
        SendAsync(HttpMethod.Post, kind.Path(resource.Namespace, VersionOf(kind, resource.Json)), resource.Json, "application/json", cancel);

    public Task<WriteResult> ReplaceAsync(ResourceKind kind, Resource resource, CancellationToken cancel) =>
        SendAsync(HttpMethod.Put, PathOf(kind, resource.Key, resource.Json), resource.Json, "application/json", cancel);

    public Task<WriteResult> ReplaceStatusAsync(ResourceKind kind, Resource resource, CancellationToken cancel) =>
        SendAsync(HttpMethod.Put, PathOf(kind, resource.Key, resource.Json) + "/status", resource.Json, "application/json", cancel);

    public Task<WriteResult> PatchAsync(
        ResourceKind kind, ObjectKey key, JsonNode patch, CancellationToken cancel, PatchType type = PatchType.Merge, string subresource = "") =>
        SendAsync(HttpMethod.Patch, PathOf(kind, key, patch) + (subresource.Length == 0 ? "" : "/" + subresource), patch, type switch
        {
            PatchType.Strategic => "application/strategic-merge-patch+json",
            PatchType.Json => "application/json-patch+json",
            _ => "application/merge-patch+json",
        }, cancel);

    public Task<WriteResult> DeleteAsync(
        ResourceKind kind, ObjectKey key, CancellationToken cancel, string? uid = null, int? graceSeconds = null, string propagation = "Background")
    {
        var options = new JsonObject { ["kind"] = "DeleteOptions", ["apiVersion"] = "v1", ["propagationPolicy"] = propagation };
        if (uid is not null)
        {
            options["preconditions"] = new JsonObject { ["uid"] = uid };
        }

        if (graceSeconds is not null)
        {
            options["gracePeriodSeconds"] = graceSeconds;
        }

        return SendAsync(HttpMethod.Delete, PathOf(kind, key), options, "application/json", cancel);
    }

    /// <summary>
    /// Reads, changes and replaces until no other writer has come between. <paramref name="change"/> gets a copy and says whether
    /// there is anything to write. Null when the object does not exist.
    /// </summary>
    public async Task<Resource?> ChangeAsync(
        ResourceKind kind, ObjectKey key, Func<Resource, bool> change, CancellationToken cancel, bool isStatus = false)
    {
        for (var attempt = 0; attempt < MaximumConflicts; attempt++)
        {
            var current = await GetAsync(kind, key, cancel);
            if (current is null)
            {
                return null;
            }

            if (!change(current))
            {
                return current;
            }

            var result = isStatus ? await ReplaceStatusAsync(kind, current, cancel) : await ReplaceAsync(kind, current, cancel);
            if (result.Outcome == WriteOutcome.NotFound)
            {
                return null;
            }

            if (result.Outcome != WriteOutcome.Conflict)
            {
                return result.OrThrow();
            }
        }

        throw new KubeApiException($"{kind.Kind} {key} kept changing under {MaximumConflicts} attempts to update it");
    }

    async Task<WriteResult> SendAsync(HttpMethod method, string path, JsonNode body, string mediaType, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(method, path);
        request.Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body, Resource.JsonOptions));
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(mediaType);
        using var response = await Http.SendAsync(request, cancel);
        return WriteResult.From(response.StatusCode, await ReadAsync(response, cancel));
    }

    static async Task<JsonObject> ReadAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        var bytes = await response.Content.ReadAsByteArrayAsync(cancel);
        try
        {
            return JsonNode.Parse(bytes) as JsonObject ?? [];
        }
        catch (JsonException)
        {
            return new JsonObject { ["message"] = $"the server answered {(int)response.StatusCode} with no JSON" };
        }
    }

    static string PathOf(ResourceKind kind, ObjectKey key, JsonNode? body = null) =>
        $"{kind.Path(key.Namespace, VersionOf(kind, body))}/{Uri.EscapeDataString(key.Name)}";

    /// <summary>What is written in one version of a kind is sent to that version.</summary>
    static string VersionOf(ResourceKind kind, JsonNode? body)
    {
        var apiVersion = body is JsonObject ? body.Text("apiVersion") ?? "" : "";
        var version = apiVersion[(apiVersion.LastIndexOf('/') + 1)..];
        return kind.Versions.Contains(version) ? version : kind.StoredVersion;
    }

    static string Query(params (string Name, string? Value)[] parts)
    {
        var text = string.Join('&', parts.Where(p => !string.IsNullOrEmpty(p.Value)).Select(p => $"{p.Name}={Uri.EscapeDataString(p.Value!)}"));
        return text.Length == 0 ? "" : "?" + text;
    }
}
