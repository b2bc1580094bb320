using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Garbage;

/// <summary>An object of any kind.</summary>
public readonly record struct ObjectId(ResourceKind Kind, ObjectKey Key);

/// <summary>
/// Deletes objects whose owners are all gone, and carries out foreground and orphan deletion. It knows dependants by an index
/// from owner to owned, so one deletion costs only what hangs on it.
/// </summary>
public sealed class GarbageCollector : Controller<ObjectId>
{
    readonly KubeClient client;
    readonly Dictionary<ResourceKind, Informer> informers = [];
    readonly ConcurrentDictionary<string, byte> live = [];
    readonly ConcurrentDictionary<string, ConcurrentDictionary<ObjectId, byte>> dependants = [];

    public GarbageCollector(KubeClient client, KindCatalog catalog, Informers all, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        foreach (var kind in catalog.All.Where(k => k.Kind != "Event"))
        {
            var informer = all.For(kind.Group, kind.Kind);
            informers[kind] = informer;
            informer.OnChange(change => Track(kind, change));
        }
    }

    /// <summary>After all informers have synced: an owner that is unknown from here on does not exist.</summary>
    public async Task StartAsync(CancellationToken cancel)
    {
        await Task.WhenAll(informers.Values.Select(i => i.Synced)).WaitAsync(cancel);
        await RunAsync(cancel);
    }

    void Track(ResourceKind kind, WatchEvent change)
    {
        var id = new ObjectId(kind, change.Resource.Key);
        if (change.Type == WatchEventType.Deleted)
        {
            live.TryRemove(change.Resource.Uid, out _);
            foreach (var owner in change.Resource.Owners)
            {
                if (dependants.TryGetValue(owner.Uid, out var siblings) && siblings.TryRemove(id, out _) && !live.ContainsKey(owner.Uid) && siblings.IsEmpty)
                {
                    dependants.TryRemove(owner.Uid, out _);
                }

                QueueOwner(owner);
            }

            if (dependants.TryGetValue(change.Resource.Uid, out var orphans))
            {
                foreach (var orphan in orphans.Keys)
                {
                    Queue.Add(orphan);
                }
            }

            return;
        }

        live[change.Resource.Uid] = 0;
        var hasOwner = false;
        foreach (var owner in change.Resource.Owners)
        {
            hasOwner = true;
            dependants.GetOrAdd(owner.Uid, _ => [])[id] = 0;
        }

        if ((hasOwner && change.Type == WatchEventType.Added) || change.Resource.IsDeleting)
        {
            Queue.Add(id);
        }
    }

    /// <summary>An owner in foreground deletion waits for its last dependant.</summary>
    void QueueOwner(OwnerReference owner)
    {
        foreach (var (kind, informer) in informers)
        {
            if (kind.Kind == owner.Kind && informer.All.FirstOrDefault(r => r.Uid == owner.Uid) is { IsDeleting: true } waiting)
            {
                Queue.Add(new ObjectId(kind, waiting.Key));
            }
        }
    }

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectId key, CancellationToken cancel)
    {
        var resource = await client.GetAsync(key.Kind, key.Key, cancel);
        if (resource is null)
        {
            return null;
        }

        if (resource.IsDeleting)
        {
            var finalizers = resource.Metadata.Texts("finalizers").ToList();
            if (finalizers.Contains("foregroundDeletion"))
            {
                await DeleteDependantsAsync(key, resource, cancel);
            }

            if (finalizers.Contains("orphan"))
            {
                await OrphanDependantsAsync(key, resource, cancel);
            }

            return null;
        }

        var owners = resource.Owners.ToList();
        if (owners.Count > 0 && owners.TrueForAll(o => !live.ContainsKey(o.Uid)))
        {
            await client.DeleteAsync(key.Kind, key.Key, cancel, resource.Uid);
        }

        return null;
    }

    IEnumerable<ObjectId> DependantsOf(Resource owner) => dependants.TryGetValue(owner.Uid, out var found) ? found.Keys : [];

    async Task DeleteDependantsAsync(ObjectId id, Resource owner, CancellationToken cancel)
    {
        var left = DependantsOf(owner).ToList();
        foreach (var dependant in left)
        {
            await client.DeleteAsync(dependant.Kind, dependant.Key, cancel, propagation: "Foreground");
        }

        if (left.Count == 0)
        {
            await RemoveFinalizerAsync(id, "foregroundDeletion", cancel);
        }
    }

    async Task OrphanDependantsAsync(ObjectId id, Resource owner, CancellationToken cancel)
    {
        foreach (var dependant in DependantsOf(owner))
        {
            await client.ChangeAsync(dependant.Kind, dependant.Key, r =>
            {
                r.Metadata["ownerReferences"] = new JsonArray(
                    [.. r.Metadata.Objects("ownerReferences").Where(o => o.Text("uid") != owner.Uid).Select(o => o.DeepClone())]);
                return true;
            }, cancel);
        }

        await RemoveFinalizerAsync(id, "orphan", cancel);
    }

    Task RemoveFinalizerAsync(ObjectId id, string finalizer, CancellationToken cancel) =>
        client.ChangeAsync(id.Kind, id.Key, r =>
        {
            r.Metadata["finalizers"] = new JsonArray([.. r.Metadata.Texts("finalizers").Where(f => f != finalizer).Select(f => JsonValue.Create(f))]);
            return true;
        }, cancel);
}
