namespace Weir.Proxy.Http2;

/// <summary>
/// The dynamic table of one direction (RFC 7541 section 2.3.2): the fields' bytes one after the other in one block, name before value,
/// and their places in a ring. Both grow with what the peer really uses, so that an idle connection costs little.
/// </summary>
sealed class HpackDynamicTable(int maximumSize)
{
    /// <summary>The most that a table may be given, so that the lengths in an entry fit 16 bits.</summary>
    public const int Limit = 64 * 1024;

    /// <summary>What an entry counts beyond its bytes (RFC 7541 section 4.1).</summary>
    public const int EntryOverhead = 32;

    const int FirstBlock = 512;
    const int FirstEntries = 16;

    readonly int capacity = maximumSize;
    byte[] block = [];
    Entry[] entries = [];

    /// <summary>Positions of entries count from the connection's start and wrap; this is the one of the block's first byte.</summary>
    uint blockStart;
    int used;

    struct Entry
    {
        public uint Start;
        public ushort NameLength;
        public ushort ValueLength;
        public FieldKind Kind;
    }

    /// <summary>The number that the next entry gets; numbers wrap.</summary>
    public uint Next { get; private set; }

    public int Count { get; private set; }

    /// <summary>As RFC 7541 counts it.</summary>
    public int Size { get; private set; }

    public int MaximumSize { get; private set; } = maximumSize;

    /// <summary>The length of the ring, a power of two: an entry's number modulo it is its place.</summary>
    public int Slots => entries.Length;

    /// <summary>The bytes that the table occupies at the moment.</summary>
    public int Footprint => block.Length + (entries.Length * 12);

    public bool Contains(uint number) => Next - 1 - number < (uint)Count;

    /// <summary>Name and value in one stretch; the newest entry has the index 1.</summary>
    public ReadOnlySpan<byte> Read(int index, out int nameLength, out FieldKind kind)
    {
        ref readonly var entry = ref entries[(Next - (uint)index) & (uint)(entries.Length - 1)];
        nameLength = entry.NameLength;
        kind = entry.Kind;
        return block.AsSpan((int)(entry.Start - blockStart), entry.NameLength + entry.ValueLength);
    }

    /// <summary>The field that an index of a block stands for: those of the static table come first (RFC 7541 section 2.3.3).</summary>
    public bool TryFind(int index, out ReadOnlySpan<byte> field, out int nameLength, out FieldKind kind)
    {
        if (index > HpackStaticTable.Count && index - HpackStaticTable.Count <= Count)
        {
            field = Read(index - HpackStaticTable.Count, out nameLength, out kind);
            return true;
        }

        if (index is > 0 and <= HpackStaticTable.Count)
        {
            field = HpackStaticTable.Read(index, out nameLength, out kind);
            return true;
        }

        field = default;
        nameLength = 0;
        kind = FieldKind.Malformed;
        return false;
    }

    public static int SizeOf(int nameLength, int valueLength) => nameLength + valueLength + EntryOverhead;

    /// <summary>
    /// Makes an entry, for which older ones have to go, and gives its bytes to be filled. One that is larger than the table empties it and
    /// is not there afterwards (RFC 7541 section 4.4): false.
    /// </summary>
    public bool TryInsert(int nameLength, int valueLength, FieldKind kind, out Span<byte> bytes)
    {
        bytes = default;
        var size = SizeOf(nameLength, valueLength);
        EvictTo(Math.Max(0, MaximumSize - size));
        if (size > MaximumSize)
        {
            return false;
        }

        var length = nameLength + valueLength;
        if (used + length > block.Length)
        {
            MakeRoom(length);
        }

        if (Count == entries.Length)
        {
            GrowEntries();
        }

        entries[Next & (uint)(entries.Length - 1)] = new Entry
        {
            Start = blockStart + (uint)used,
            NameLength = (ushort)nameLength,
            ValueLength = (ushort)valueLength,
            Kind = kind,
        };
        Next++;
        Count++;
        Size += size;
        used += length;
        bytes = block.AsSpan(used - length, length);
        return true;
    }

    /// <summary>At most the maximum size of the constructor.</summary>
    public void SetMaximumSize(int size)
    {
        MaximumSize = size;
        EvictTo(size);
    }

    void EvictTo(int size)
    {
        while (Size > size)
        {
            ref readonly var oldest = ref entries[(Next - (uint)Count) & (uint)(entries.Length - 1)];
            Size -= SizeOf(oldest.NameLength, oldest.ValueLength);
            Count--;
        }
    }

    /// <summary>
    /// Moves what lives to the start of the block. The block may have twice the table's size, so that a move of at most the size is
    /// paid for by as many bytes inserted since the one before.
    /// </summary>
    void MakeRoom(int length)
    {
        var live = Count == 0 ? 0 : used - (int)(entries[(Next - (uint)Count) & (uint)(entries.Length - 1)].Start - blockStart);
        var to = block;
        if ((live + length) * 2 > block.Length)
        {
            var wanted = Math.Max(FirstBlock, Math.Max(block.Length, (live + length) * 2));
            to = wanted > block.Length ? new byte[Math.Min((int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)wanted), Math.Max(FirstBlock, 2 * capacity))] : block;
        }

        block.AsSpan(used - live, live).CopyTo(to);
        block = to;
        blockStart += (uint)(used - live);
        used = live;
    }

    void GrowEntries()
    {
        var larger = new Entry[Math.Max(FirstEntries, entries.Length * 2)];
        for (var number = Next - (uint)Count; number != Next; number++)
        {
            larger[number & (uint)(larger.Length - 1)] = entries[number & (uint)(entries.Length - 1)];
        }

        entries = larger;
    }
}
