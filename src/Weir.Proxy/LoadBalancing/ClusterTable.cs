using System.Collections.Concurrent;

namespace Weir.Proxy.LoadBalancing;

/// <summary>All clusters of a proxy, by slots that routes hold. Changed by one thread at a time, read by any.</summary>
sealed class ClusterTable
{
    const int FewestBeforeSweep = 64;

    readonly ConcurrentDictionary<string, ClusterSlot> present = [];

    /// <summary>Of clusters that are not there: they are kept by the routes that name them, and go with the last.</summary>
    readonly Dictionary<string, WeakReference<ClusterSlot>> absent = [];
    readonly Lock gate = new();
    int sweepAt = FewestBeforeSweep;

    public IEnumerable<Cluster> All => present.Values.Select(s => s.Current).OfType<Cluster>();

    /// <summary>How many slots it knows.</summary>
    public int Count
    {
        get
        {
            lock (gate)
            {
                return present.Count + absent.Count;
            }
        }
    }

    /// <summary>The slot of this name, which is the same for as long as somebody holds it or there is such a cluster.</summary>
    public ClusterSlot Slot(string name)
    {
        lock (gate)
        {
            return Slot_NeedsLock(name);
        }
    }

    ClusterSlot Slot_NeedsLock(string name)
    {
        if (present.TryGetValue(name, out var slot) || (absent.TryGetValue(name, out var held) && held.TryGetTarget(out slot)))
        {
            return slot;
        }

        slot = new ClusterSlot(name);
        Release(slot);
        return slot;
    }

    /// <summary>From now on requests find this cluster, or none.</summary>
    public void Set(string name, Cluster? cluster)
    {
        lock (gate)
        {
            var slot = Slot_NeedsLock(name);
            slot.Current = cluster;
            if (cluster is not null)
            {
                present[name] = slot;
                absent.Remove(name);
            }
            else if (present.TryRemove(name, out _))
            {
                Release(slot);
            }
        }
    }

    void Release(ClusterSlot slot)
    {
        absent[slot.Name] = new WeakReference<ClusterSlot>(slot);
        if (absent.Count < sweepAt)
        {
            return;
        }

        foreach (var name in absent.Where(a => !a.Value.TryGetTarget(out _)).Select(a => a.Key).ToList())
        {
            absent.Remove(name);
        }

        sweepAt = Math.Max(FewestBeforeSweep, 2 * absent.Count);
    }
}
