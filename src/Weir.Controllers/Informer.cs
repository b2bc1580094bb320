using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Controllers;

/// <summary>
/// Keeps a local copy of all objects of one kind by list and watch, and tells its handlers of every change. Handlers run on the
/// informer's own loop and must be quick: they put keys on queues.
/// </summary>
public sealed class Informer(KubeClient client, ResourceKind kind, TimeProvider time, ILogger log)
{
    static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(200);

    readonly ConcurrentDictionary<ObjectKey, Resource> objects = [];
    readonly List<Action<WatchEvent>> handlers = [];
    readonly TaskCompletionSource synced = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ResourceKind Kind { get; } = kind;

    /// <summary>Completes after the first list.</summary>
    public Task Synced => synced.Task;

    public Resource? Get(ObjectKey key) => objects.GetValueOrDefault(key);

    public IEnumerable<Resource> All => objects.Values;

    public IEnumerable<Resource> In(string ns) => objects.Values.Where(r => r.Namespace == ns);

    /// <summary>Before <see cref="RunAsync"/> starts.</summary>
    public void OnChange(Action<WatchEvent> handler) => handlers.Add(handler);

    public async Task RunAsync(CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested)
        {
            try
            {
                var list = await client.ListAsync(Kind, null, cancel);
                Replace(list.Items);
                synced.TrySetResult();
                await FollowAsync(list.ResourceVersion, cancel);
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is HttpRequestException or IOException or KubeApiException or System.Text.Json.JsonException)
            {
                log.LogWarning("watching {Kind}: {Error}; listing again", Kind.Plural, e.Message);
            }

            await Task.Delay(RetryDelay, time, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Watches from a version on, again and again, until the server no longer remembers it.</summary>
    async Task FollowAsync(string resourceVersion, CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested)
        {
            await foreach (var change in client.WatchAsync(Kind, null, resourceVersion, cancel))
            {
                if (change.Type == WatchEventType.Expired)
                {
                    return;
                }

                resourceVersion = change.Resource.ResourceVersion;
                if (change.Type != WatchEventType.Bookmark)
                {
                    Apply(change);
                }
            }
        }
    }

    void Apply(WatchEvent change)
    {
        if (change.Type == WatchEventType.Deleted)
        {
            objects.TryRemove(change.Resource.Key, out _);
        }
        else
        {
            objects[change.Resource.Key] = change.Resource;
        }

        handlers.ForEach(handle => handle(change));
    }

    void Replace(IReadOnlyList<Resource> items)
    {
        var present = items.Select(i => i.Key).ToHashSet();
        foreach (var gone in objects.Values.Where(o => !present.Contains(o.Key)).ToList())
        {
            Apply(new WatchEvent(WatchEventType.Deleted, gone));
        }

        foreach (var item in items)
        {
            var known = objects.TryGetValue(item.Key, out var old);
            if (!known || old!.ResourceVersion != item.ResourceVersion)
            {
                Apply(new WatchEvent(known ? WatchEventType.Modified : WatchEventType.Added, item));
            }
        }
    }
}

/// <summary>One informer for each kind, shared by all controllers of a process.</summary>
public sealed class Informers(KubeClient client, KindCatalog catalog, TimeProvider time, ILoggerFactory logs)
{
    readonly Dictionary<ResourceKind, Informer> byKind = [];

    public Informer For(string group, string kind)
    {
        var found = catalog.Get(group, kind);
        if (!byKind.TryGetValue(found, out var informer))
        {
            byKind[found] = informer = new Informer(client, found, time, logs.CreateLogger("informer"));
        }

        return informer;
    }

    public Task RunAsync(CancellationToken cancel) => Task.WhenAll(byKind.Values.Select(i => i.RunAsync(cancel)));

    public Task SyncedAsync(CancellationToken cancel) => Task.WhenAll(byKind.Values.Select(i => i.Synced)).WaitAsync(cancel);
}
