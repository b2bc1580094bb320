namespace Weir.Proxy.Simulation;

/// <summary>Descriptors as Linux gives them: the lowest that is free, so that numbers are used again at once.</summary>
sealed class DescriptorTable
{
    const int First = 3;

    readonly List<object?> entries = [];

    public int Count => entries.Count(e => e is not null);

    public IEnumerable<SimulatedSocket> Sockets => entries.OfType<SimulatedSocket>();

    public int Add(object described)
    {
        var at = entries.IndexOf(null);
        if (at < 0)
        {
            at = entries.Count;
            entries.Add(null);
        }

        entries[at] = described;
        return at + First;
    }

    /// <summary>Null when it is not open.</summary>
    public object? Find(int fd) => fd >= First && fd - First < entries.Count ? entries[fd - First] : null;

    public void Remove(int fd) => entries[fd - First] = null;
}
