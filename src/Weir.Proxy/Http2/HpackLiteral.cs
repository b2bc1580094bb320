namespace Weir.Proxy.Http2;

/// <summary>A literal field as it stands in a block, not decoded yet (RFC 7541 section 6.2).</summary>
ref struct HpackLiteral
{
    /// <summary>The entry whose name it has; 0 where <see cref="Name"/> is.</summary>
    public int NameIndex;
    public HpackString Name;
    public HpackString Value;
    public bool IsIndexed;
    public bool NeverIndexed;

    /// <summary>Where the next field begins.</summary>
    public int End;

    /// <summary>False too for a size update, which may stand only at the start of a block.</summary>
    public static bool TryParse(ReadOnlySpan<byte> block, int at, out HpackLiteral literal)
    {
        literal = default;
        var first = block[at];
        literal.IsIndexed = first >= 0x40;
        literal.NeverIndexed = (first & 0xf0) == 0x10;
        if ((first & 0xe0) == 0x20
            || !HpackInteger.TryRead(block, ref at, literal.IsIndexed ? 6 : 4, out literal.NameIndex)
            || (literal.NameIndex == 0 && !HpackString.TryParse(block, ref at, out literal.Name))
            || !HpackString.TryParse(block, ref at, out literal.Value))
        {
            return false;
        }

        literal.End = at;
        return true;
    }
}
