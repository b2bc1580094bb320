namespace Weir.Proxy.Reactor;

/// <summary>Something that takes the events of a file descriptor.</summary>
abstract class IoHandle
{
    internal int Slot = -1;

    public abstract void OnEvents(SocketEvents events);

    /// <summary>After a defect: lets go of all that this was part of.</summary>
    public abstract void Abandon();
}

/// <summary>
/// Handles by the keys that the kernel keeps for them. A key has a generation in it, so that an event that was already read when its
/// handle went away does not reach the next handle of the same slot.
/// </summary>
sealed class HandleTable
{
    readonly List<IoHandle?> handles = [];
    readonly List<uint> generations = [];
    readonly Stack<int> freeSlots = [];

    public int Count => handles.Count - freeSlots.Count;

    public ulong Add(IoHandle handle)
    {
        if (!freeSlots.TryPop(out var slot))
        {
            slot = handles.Count;
            handles.Add(null);
            generations.Add(0);
        }

        handles[slot] = handle;
        handle.Slot = slot;
        return ((ulong)generations[slot] << 32) | (uint)slot;
    }

    public void Remove(IoHandle handle)
    {
        if (handle.Slot >= 0)
        {
            handles[handle.Slot] = null;
            generations[handle.Slot]++;
            freeSlots.Push(handle.Slot);
            handle.Slot = -1;
        }
    }

    public IoHandle? Find(ulong key)
    {
        var slot = (int)(uint)key;
        return slot < handles.Count && generations[slot] == (uint)(key >> 32) ? handles[slot] : null;
    }
}
