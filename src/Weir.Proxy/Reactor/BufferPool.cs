namespace Weir.Proxy.Reactor;

/// <summary>A loop's own stock of equal, pinned buffers. Connections hold one only while they have something in it.</summary>
public sealed class BufferPool
{
    public const int BufferSize = 16 * 1024;
    const int MaximumKept = 256;

    readonly Stack<byte[]> free = [];

    public byte[] Rent() => free.TryPop(out var buffer) ? buffer : GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true);

    public void Return(byte[] buffer)
    {
        // A buffer that grew for one large head is not worth keeping.
        if (buffer.Length == BufferSize && free.Count < MaximumKept)
        {
            free.Push(buffer);
        }
    }
}
