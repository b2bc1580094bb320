using System.Runtime.CompilerServices;

namespace Weir.Proxy.Http;

/// <summary>A stretch of a buffer.</summary>
public readonly record struct Slice(int Start, int Length)
{
    public ReadOnlySpan<byte> Of(ReadOnlySpan<byte> buffer) => buffer.Slice(Start, Length);
}

/// <summary>Headers that the proxy treats in a way of its own.</summary>
public enum KnownHeader : byte
{
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
    Upgrade,

    /// <summary>Hop-by-hop headers that are dropped and mean nothing else to the proxy (RFC 9110 section 7.6.1).</summary>
    HopByHop,

    /// <summary>Named by the Connection header, so hop-by-hop in this message.</summary>
    Named,
}

public readonly record struct Header(Slice Name, Slice Value, KnownHeader Known);

/// <summary>The headers of one message as positions in its buffer; reused from message to message.</summary>
public sealed class HeaderList
{
    /// <summary>As Envoy's default.</summary>
    public const int Maximum = 100;

    const int FirstItems = 16;

    /// <summary>Made when the first is added: most lists of trailers never have one.</summary>
    Header[] items = [];

    public int Count { get; private set; }

    public ref readonly Header this[int index] => ref items[index];

    public void Clear() => Count = 0;

    public bool Add(Slice name, Slice value, KnownHeader known)
    {
        if (Count == items.Length)
        {
            if (Count >= Maximum)
            {
                return false;
            }

            Array.Resize(ref items, Math.Min(Math.Max(items.Length * 2, FirstItems), Maximum));
        }

        items[Count++] = new Header(name, value, known);
        return true;
    }

    internal void CopyFrom(HeaderList other)
    {
        if (items.Length < other.Count)
        {
            items = new Header[other.items.Length];
        }

        other.items.AsSpan(0, other.Count).CopyTo(items);
        Count = other.Count;
    }

    internal void ReplaceValue(int index, Slice value) => items[index] = items[index] with { Value = value };

    internal void MarkNamed(int index) => items[index] = items[index] with { Known = KnownHeader.Named };

    /// <summary>The first value of a header; its name in lower case.</summary>
    public bool TryGet(ReadOnlySpan<byte> buffer, ReadOnlySpan<byte> lowerName, out Slice value)
    {
        for (var i = 0; i < Count; i++)
        {
            if (items[i].Name.Length == lowerName.Length && Ascii.EqualsLower(items[i].Name.Of(buffer), lowerName))
            {
                value = items[i].Value;
                return true;
            }
        }

        value = default;
        return false;
    }
}

static class Ascii
{
    /// <summary>Whether <paramref name="text"/>, of any case, is <paramref name="lower"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool EqualsLower(ReadOnlySpan<byte> text, ReadOnlySpan<byte> lower)
    {
        if (text.Length != lower.Length)
        {
            return false;
        }

        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c != lower[i] && (c is < (byte)'A' or > (byte)'Z' || (c | 0x20) != lower[i]))
            {
                return false;
            }
        }

        return true;
    }

    public static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text)
    {
        while (text.Length > 0 && text[0] is (byte)' ' or (byte)'\t')
        {
            text = text[1..];
        }

        while (text.Length > 0 && text[^1] is (byte)' ' or (byte)'\t')
        {
            text = text[..^1];
        }

        return text;
    }
}
