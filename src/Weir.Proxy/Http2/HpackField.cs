namespace Weir.Proxy.Http2;

/// <summary>A decoded field: its name stands at the start of the target, its value directly after it.</summary>
public readonly record struct HpackField(int NameLength, int ValueLength, FieldKind Kind, bool NeverIndexed)
{
    public int Length => NameLength + ValueLength;

    /// <summary>What it counts towards SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 section 6.5.2).</summary>
    public int ListSize => NameLength + ValueLength + HpackDynamicTable.EntryOverhead;
}
