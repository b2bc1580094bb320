namespace Weir.Proxy.Reactor;

/// <summary>
/// A loop's own stock of pinned buffers in three sizes. Connections hold one only while they have something in it: a small one for a
/// head, a medium one for what streams, a large one for what streams in bulk.
/// </summary>
public sealed class BufferPool
{
    public const int SmallSize = 2 * 1024;
    public const int BufferSize = 16 * 1024;
    public const int LargeSize = 128 * 1024;

    readonly Shelf small = new(SmallSize, 256);
    readonly Shelf medium = new(BufferSize, 64);
    readonly Shelf large = new(LargeSize, 4);

    public byte[] Rent() => medium.Take();

    public byte[] RentSmall() => small.Take();

    public byte[] RentLarge() => large.Take();

    public void Return(byte[] buffer)
    {
        // One that grew for an unusual head has a size of its own, and is not kept.
        switch (buffer.Length)
        {
            case SmallSize:
                small.Put(buffer);
                break;
            case BufferSize:
                medium.Put(buffer);
                break;
            case LargeSize:
                large.Put(buffer);
                break;
        }
    }

    sealed class Shelf(int size, int most)
    {
        readonly Slot[] free = new Slot[most];
        int count;

        /// <summary>Spares the type check that storing into an array of arrays costs.</summary>
        struct Slot
        {
            public byte[]? Buffer;
        }

        public byte[] Take()
        {
            if (count == 0)
            {
                return GC.AllocateUninitializedArray<byte>(size, pinned: true);
            }

            ref var slot = ref free[--count];
            var buffer = slot.Buffer!;
            slot.Buffer = null;
            return buffer;
        }

        public void Put(byte[] buffer)
        {
            if (count < free.Length)
            {
                free[count++].Buffer = buffer;
            }
        }
    }
}
