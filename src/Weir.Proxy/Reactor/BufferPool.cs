namespace Weir.Proxy.Reactor;

/// <summary>A loop's own stock of equal, pinned buffers. Connections hold one only while they have something in it.</summary>
public sealed class BufferPool
{
    public const int BufferSize = 16 * 1024;
    const int MaximumKept = 256;

    readonly Slot[] free = new Slot[MaximumKept];
    int count;

    /// <summary>Spares the type check that storing into an array of arrays costs.</summary>
    struct Slot
    {
        public byte[] Buffer;
    }

    public byte[] Rent() => count > 0 ? free[--count].Buffer : GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true);

    public void Return(byte[] buffer)
    {
        // A buffer that grew for one large head is not worth keeping.
        if (buffer.Length == BufferSize && count < MaximumKept)
        {
            free[count++].Buffer = buffer;
        }
    }
}
