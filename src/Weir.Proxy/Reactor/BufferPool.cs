namespace Weir.Proxy.Reactor;

/// <summary>
/// A loop's own stock of pinned buffers in three sizes. Connections hold one only while they have something in it: a small one for a
/// head, a medium one for what streams, a large one for what streams in bulk.
/// </summary>
public class BufferPool
{
    public const int SmallSize = 2 * 1024;
    public const int BufferSize = 16 * 1024;
    public const int LargeSize = 128 * 1024;

    readonly Spares<byte[]> small = new(2048);
    readonly Spares<byte[]> medium = new(64);
    readonly Spares<byte[]> large = new(4);

    public virtual byte[] Rent() => medium.TryTake() ?? Allocate(BufferSize);

    public virtual byte[] RentSmall() => small.TryTake() ?? Allocate(SmallSize);

    public virtual byte[] RentLarge() => large.TryTake() ?? Allocate(LargeSize);

    /// <summary>One of an unusual length, for what fits in no other; not kept when it is given back.</summary>
    public virtual byte[] RentUnusual(int length) => Allocate(length);

    public virtual void Return(byte[] buffer)
    {
        switch (buffer.Length)
        {
            case SmallSize:
                small.TryPut(buffer);
                break;
            case BufferSize:
                medium.TryPut(buffer);
                break;
            case LargeSize:
                large.TryPut(buffer);
                break;
        }
    }

    /// <summary>Lets go of what has lain unused since the last time.</summary>
    public void Trim()
    {
        small.Trim();
        medium.Trim();
        large.Trim();
    }

    static byte[] Allocate(int size) => GC.AllocateUninitializedArray<byte>(size, pinned: true);
}
