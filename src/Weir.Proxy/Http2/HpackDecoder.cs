using System.Buffers;

namespace Weir.Proxy.Http2;

public enum HpackResult
{
    /// <summary>A field was read.</summary>
    Field,

    /// <summary>The block has no more fields.</summary>
    End,

    /// <summary>The field does not fit. Nothing has changed: read it again into more room, or skip it.</summary>
    TargetTooSmall,

    /// <summary>A connection error COMPRESSION_ERROR (RFC 9113 section 4.3): the tables are out of step for good.</summary>
    Malformed,
}

/// <summary>
/// Reads the field blocks of one direction of a connection (RFC 7541), each complete and each to its end, in the order of their arrival.
/// What a field is and whether it is valid is found once, when it is first read, and kept with it in the dynamic table.
/// </summary>
public sealed class HpackDecoder
{
    public const int DefaultTableSize = 4096;

    /// <summary>Skipped fields up to this size pass through the stack to the dynamic table.</summary>
    const int StackSize = 1024;

    readonly HpackDynamicTable table;
    readonly int capacity;

    HpackTableLimit limit = new(DefaultTableSize);

    /// <summary><paramref name="maximumTableSize"/>: the largest SETTINGS_HEADER_TABLE_SIZE that will ever be sent.</summary>
    public HpackDecoder(int maximumTableSize = DefaultTableSize)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)maximumTableSize, (uint)HpackDynamicTable.Limit);

        // Until the peer has acknowledged another value it may use the default (RFC 9113 section 6.5.2).
        capacity = Math.Max(maximumTableSize, DefaultTableSize);
        table = new HpackDynamicTable(capacity);
        table.SetMaximumSize(DefaultTableSize);
    }

    internal HpackDynamicTable Table => table;

    /// <summary>
    /// The peer has acknowledged this SETTINGS_HEADER_TABLE_SIZE. If its table is larger, its next block has to begin with an update.
    /// </summary>
    public void SetLimit(int size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)size, (uint)capacity);
        limit.Set(size);
    }

    /// <summary>
    /// Reads the field at <paramref name="at"/>, which is 0 at the start of a block and else where the last call left it. A field goes
    /// into the target and, where the block says so, into the dynamic table.
    /// </summary>
    public HpackResult TryRead(ReadOnlySpan<byte> block, ref int at, Span<byte> target, out HpackField field)
    {
        field = default;
        if (at == 0 && !limit.TryReadUpdates(block, ref at, table))
        {
            return HpackResult.Malformed;
        }

        if ((uint)at >= (uint)block.Length)
        {
            return HpackResult.End;
        }

        if (block[at] < 0x80)
        {
            return ReadLiteral(block, ref at, target, out field);
        }

        var next = at;
        if (!HpackInteger.TryRead(block, ref next, 7, out var index) || !table.TryFind(index, out var source, out var nameLength, out var kind))
        {
            return HpackResult.Malformed;
        }

        if (!source.TryCopyTo(target))
        {
            return HpackResult.TargetTooSmall;
        }

        at = next;
        field = new HpackField(nameLength, source.Length - nameLength, kind, NeverIndexed: false);
        return HpackResult.Field;
    }

    /// <summary>As <see cref="TryRead"/>, but the field goes into the dynamic table alone.</summary>
    public HpackResult Skip(ReadOnlySpan<byte> block, ref int at)
    {
        if (at == 0 && !limit.TryReadUpdates(block, ref at, table))
        {
            return HpackResult.Malformed;
        }

        if ((uint)at >= (uint)block.Length)
        {
            return HpackResult.End;
        }

        if (block[at] < 0x80)
        {
            return SkipLiteral(block, ref at);
        }

        return HpackInteger.TryRead(block, ref at, 7, out var index) && table.TryFind(index, out _, out _, out _)
            ? HpackResult.Field
            : HpackResult.Malformed;
    }

    /// <summary>Skips what is left of a block, so that the blocks after it can be read; false if it is malformed.</summary>
    public bool TrySkipRest(ReadOnlySpan<byte> block, ref int at)
    {
        while (true)
        {
            switch (Skip(block, ref at))
            {
                case HpackResult.End:
                    return true;
                case HpackResult.Malformed:
                    return false;
            }
        }
    }

    HpackResult ReadLiteral(ReadOnlySpan<byte> block, ref int at, Span<byte> target, out HpackField field)
    {
        field = default;
        if (!HpackLiteral.TryParse(block, at, out var literal))
        {
            return HpackResult.Malformed;
        }

        int nameLength;
        if (literal.NameIndex == 0)
        {
            nameLength = literal.Name.CopyTo(target);
            if (nameLength < 0)
            {
                return nameLength == Huffman.Malformed ? HpackResult.Malformed : HpackResult.TargetTooSmall;
            }
        }
        else
        {
            if (!table.TryFind(literal.NameIndex, out var source, out nameLength, out _))
            {
                return HpackResult.Malformed;
            }

            if (!source[..nameLength].TryCopyTo(target))
            {
                return HpackResult.TargetTooSmall;
            }
        }

        var valueLength = literal.Value.CopyTo(target[nameLength..]);
        if (valueLength < 0)
        {
            return valueLength == Huffman.Malformed ? HpackResult.Malformed : HpackResult.TargetTooSmall;
        }

        Insert(literal, target[..(nameLength + valueLength)], nameLength, out var kind);
        at = literal.End;
        field = new HpackField(nameLength, valueLength, kind, literal.NeverIndexed);
        return HpackResult.Field;
    }

    HpackResult SkipLiteral(ReadOnlySpan<byte> block, ref int at)
    {
        ReadOnlySpan<byte> indexedName = default;
        var nameLength = 0;
        if (!HpackLiteral.TryParse(block, at, out var literal)
            || (literal.NameIndex != 0 && !table.TryFind(literal.NameIndex, out indexedName, out nameLength, out _)))
        {
            return HpackResult.Malformed;
        }

        nameLength = literal.NameIndex == 0 ? literal.Name.DecodedLength : nameLength;
        var valueLength = literal.Value.DecodedLength;
        if (nameLength < 0 || valueLength < 0)
        {
            return HpackResult.Malformed;
        }

        at = literal.End;
        var length = nameLength + valueLength;
        if (!literal.IsIndexed)
        {
            return HpackResult.Field;
        }

        if (length + HpackDynamicTable.EntryOverhead > table.MaximumSize)
        {
            _ = table.TryInsert(nameLength, valueLength, default, out _);
            return HpackResult.Field;
        }

        // The name may belong to an entry that this one drives out, so it cannot be copied within the table.
        var rented = length > StackSize ? ArrayPool<byte>.Shared.Rent(length) : null;
        var scratch = rented ?? stackalloc byte[StackSize];
        if (literal.NameIndex == 0)
        {
            _ = literal.Name.CopyTo(scratch);
        }
        else
        {
            indexedName[..nameLength].CopyTo(scratch);
        }

        _ = literal.Value.CopyTo(scratch[nameLength..]);
        Insert(literal, scratch[..length], nameLength, out _);
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return HpackResult.Field;
    }

    void Insert(in HpackLiteral literal, ReadOnlySpan<byte> field, int nameLength, out FieldKind kind)
    {
        kind = HeaderFieldRules.Classify(field[..nameLength], field[nameLength..]);
        if (literal.IsIndexed && table.TryInsert(nameLength, field.Length - nameLength, kind, out var entry))
        {
            field.CopyTo(entry);
        }
    }
}
