namespace Weir.Proxy.Http2;

/// <summary>
/// Writes the field blocks of one direction of a connection (RFC 7541). Each field that was written has to reach the peer, in this
/// order: what does not fit is written again into more room, it is never left out.
///
/// <para>What goes into the dynamic table is not a list of names but follows from what was seen. While nothing has to be evicted, a field
/// with a new name is inserted at once. A name that already stands in the table with another value varies (a path, a length, an id, the
/// user agents of many clients on one connection): such a field is inserted when it comes a second time, so that what never repeats
/// drives out nothing. Once the table is full the same holds for new names. Credentials are never indexed (section 7.1.3).</para>
/// </summary>
public sealed class HpackEncoder
{
    /// <summary>Cookies shorter than this could be guessed byte by byte from the sizes of messages (RFC 7541 section 7.1.3).</summary>
    const int ShortCookie = 20;

    /// <summary>Longer names in upper case are written without Huffman coding.</summary>
    const int LowerOnStack = 128;

    readonly HpackDynamicTable table;
    readonly HpackIndex index;
    readonly bool huffman;
    readonly int capacity;

    /// <summary>The maximum size that the peer's decoder knows of, and the lowest that the table has had since.</summary>
    int announcedSize = HpackDecoder.DefaultTableSize;
    int lowestSize = HpackDecoder.DefaultTableSize;

    /// <summary>
    /// <paramref name="maximumTableSize"/>: the most that is used of what the peer allows. Without <paramref name="huffman"/> strings are
    /// written as they are: more bytes, less work for both sides.
    /// </summary>
    public HpackEncoder(int maximumTableSize = HpackDecoder.DefaultTableSize, bool huffman = true)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)maximumTableSize, (uint)HpackDynamicTable.Limit);
        capacity = maximumTableSize;
        this.huffman = huffman;
        table = new HpackDynamicTable(maximumTableSize);
        index = new HpackIndex(table);
        SetMaximumTableSize(HpackDecoder.DefaultTableSize);
    }

    internal HpackDynamicTable Table => table;

    internal int Footprint => table.Footprint + index.Footprint;

    bool HasSizeUpdate => announcedSize != table.MaximumSize || lowestSize < announcedSize;

    /// <summary>The peer's SETTINGS_HEADER_TABLE_SIZE. To be called between blocks; the next one begins with what it changes.</summary>
    public void SetMaximumTableSize(uint size)
    {
        table.SetMaximumSize((int)Math.Min(size, (uint)capacity));
        lowestSize = Math.Min(lowestSize, table.MaximumSize);
    }

    /// <summary>
    /// Writes a field, its name in any case. False: the target is too small, and nothing has changed. <paramref name="neverIndexed"/> is
    /// how the field came; that is kept on every hop (RFC 7541 section 6.2.3).
    /// </summary>
    public bool TryWrite(
        ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, Span<byte> target, out int written, bool neverIndexed = false) =>
        TryWrite(name, value, neverIndexed ? HpackIndexing.Never : null, target, out written);

    /// <summary>With how a literal is written decided by the caller, where it is not null.</summary>
    internal bool TryWrite(
        ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, HpackIndexing? indexing, Span<byte> target, out int written)
    {
        written = 0;
        var at = 0;
        if (HasSizeUpdate && !TryWriteSizeUpdates(target, ref at))
        {
            return false;
        }

        var nameHash = HpackHash.OfName(name);
        var fieldHash = HpackHash.OfField(nameHash, value);
        var found = indexing is null or HpackIndexing.Incremental ? FindField(nameHash, fieldHash, name, value) : 0;
        if (found > 0 ? !HpackInteger.TryWrite(target, ref at, found, 7, 0x80)
            : !TryWriteLiteral(name, value, nameHash, fieldHash, indexing, target, ref at))
        {
            return false;
        }

        announcedSize = lowestSize = table.MaximumSize;
        written = at;
        return true;
    }

    bool TryWriteSizeUpdates(Span<byte> target, ref int at) =>
        (lowestSize >= Math.Min(announcedSize, table.MaximumSize) || HpackInteger.TryWrite(target, ref at, lowestSize, 5, 0x20))
        && HpackInteger.TryWrite(target, ref at, table.MaximumSize, 5, 0x20);

    /// <summary>The index of the whole field in both tables, or 0. Most pseudo-headers are in the static one, most others are not.</summary>
    int FindField(uint nameHash, uint fieldHash, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var isPseudo = name.Length > 0 && name[0] == ':';
        if (isPseudo && HpackStaticTable.Find(nameHash, name, value, out var isExact) is var pseudo && isExact)
        {
            return pseudo;
        }

        if (index.FindField(fieldHash, name, value) is > 0 and var found)
        {
            return HpackStaticTable.Count + found;
        }

        return !isPseudo && HpackStaticTable.Find(nameHash, name, value, out isExact) is var other && isExact ? other : 0;
    }

    bool TryWriteLiteral(
        ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, uint nameHash, uint fieldHash, HpackIndexing? indexing, Span<byte> target, ref int at)
    {
        var staticName = HpackStaticTable.Find(nameHash, name, value, out _);
        var dynamicName = index.FindName(nameHash, name);
        var varies = dynamicName != 0;
        var how = indexing ?? Choose(staticName, HpackDynamicTable.SizeOf(name.Length, value.Length), value.Length, varies, nameHash, fieldHash);
        var nameIndex = staticName != 0 ? staticName : varies ? HpackStaticTable.Count + dynamicName : 0;
        if (!HpackInteger.TryWrite(target, ref at, nameIndex, how == HpackIndexing.Incremental ? 6 : 4, (byte)how)
            || (nameIndex == 0 && !TryWriteName(name, target, ref at))
            || !HpackString.TryWrite(value, huffman, target, ref at))
        {
            return false;
        }

        if (how == HpackIndexing.Incremental)
        {
            Insert(name, value, nameHash, fieldHash);
        }
        else if (how == HpackIndexing.Without)
        {
            index.Remember(varies ? fieldHash : nameHash);
        }

        return true;
    }

    HpackIndexing Choose(int staticName, int size, int valueLength, bool varies, uint nameHash, uint fieldHash)
    {
        if (staticName is HpackStaticTable.Authorization or HpackStaticTable.ProxyAuthorization or HpackStaticTable.SetCookie
            || (staticName == HpackStaticTable.Cookie && valueLength < ShortCookie))
        {
            return HpackIndexing.Never;
        }

        // One large field would drive out most of the others.
        if (size > table.MaximumSize / 2)
        {
            return HpackIndexing.Without;
        }

        var insert = varies ? index.IsRecent(fieldHash) : table.Size + size <= table.MaximumSize || index.IsRecent(nameHash);
        return insert ? HpackIndexing.Incremental : HpackIndexing.Without;
    }

    void Insert(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, uint nameHash, uint fieldHash)
    {
        if (table.TryInsert(name.Length, value.Length, default, out var entry))
        {
            Lower(name, entry);
            value.CopyTo(entry[name.Length..]);
            index.AddNewest(nameHash, fieldHash);
        }
    }

    bool TryWriteName(ReadOnlySpan<byte> name, Span<byte> target, ref int at)
    {
        if (name.IndexOfAnyInRange((byte)'A', (byte)'Z') < 0)
        {
            return HpackString.TryWrite(name, huffman, target, ref at);
        }

        if (name.Length <= LowerOnStack)
        {
            Span<byte> lower = stackalloc byte[LowerOnStack];
            Lower(name, lower);
            return HpackString.TryWrite(lower[..name.Length], huffman, target, ref at);
        }

        if (!HpackString.TryWrite(name, huffman: false, target, ref at))
        {
            return false;
        }

        Lower(name, target.Slice(at - name.Length, name.Length));
        return true;
    }

    static void Lower(ReadOnlySpan<byte> name, Span<byte> target)
    {
        for (var i = 0; i < name.Length; i++)
        {
            var c = name[i];
            target[i] = c is >= (byte)'A' and <= (byte)'Z' ? (byte)(c | 0x20) : c;
        }
    }
}
