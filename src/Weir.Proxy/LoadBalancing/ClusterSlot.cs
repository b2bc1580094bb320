namespace Weir.Proxy.LoadBalancing;

/// <summary>
/// A cluster by name, as it is at the moment. Routes hold the slot, so that a change of endpoints is one store, whatever the size
/// of the mesh, and finding the cluster of a request is one load.
/// </summary>
sealed class ClusterSlot(string name)
{
    volatile Cluster? current;

    public string Name => name;

    /// <summary>Null while there is none of this name.</summary>
    public Cluster? Current
    {
        get => current;
        set => current = value;
    }
}
