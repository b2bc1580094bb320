using System.Collections.Concurrent;

namespace Weir.Proxy.LoadBalancing;

/// <summary>All clusters of a proxy.</summary>
sealed class ClusterTable
{
    readonly ConcurrentDictionary<string, ClusterSlot> slots = [];

    /// <summary>The slot of this name, which stays the same for the life of the proxy.</summary>
    public ClusterSlot Slot(string name) => slots.GetOrAdd(name, n => new ClusterSlot(n));

    public IEnumerable<Cluster> All => slots.Values.Select(s => s.Current).OfType<Cluster>();
}
