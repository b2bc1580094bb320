namespace Weir.Proxy.Http2;

/// <summary>A decoded field: its name stands at the start of the target, its value directly after it.</summary>
public readonly record struct HpackField(int NameLength, int ValueLength, FieldKind Kind, bool NeverIndexed)
{
    public int Length => NameLength + ValueLength;
}
