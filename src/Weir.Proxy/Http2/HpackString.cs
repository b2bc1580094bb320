namespace Weir.Proxy.Http2;

/// <summary>A string as it stands in a block (RFC 7541 section 5.2).</summary>
ref struct HpackString
{
    ReadOnlySpan<byte> bytes;
    bool isHuffman;

    /// <summary>Or <see cref="Huffman.Malformed"/>.</summary>
    public readonly int DecodedLength => isHuffman ? Huffman.DecodedLength(bytes) : bytes.Length;

    public static bool TryParse(ReadOnlySpan<byte> block, scoped ref int at, out HpackString text)
    {
        text = default;
        if (at >= block.Length)
        {
            return false;
        }

        text.isHuffman = block[at] >= 0x80;
        if (!HpackInteger.TryRead(block, ref at, 7, out var length) || length > block.Length - at)
        {
            return false;
        }

        text.bytes = block.Slice(at, length);
        at += length;
        return true;
    }

    /// <summary>Decodes; returns the length, <see cref="Huffman.Malformed"/> or <see cref="Huffman.TargetTooSmall"/>.</summary>
    public readonly int CopyTo(Span<byte> target)
    {
        if (isHuffman)
        {
            return Huffman.Decode(bytes, target);
        }

        return bytes.TryCopyTo(target) ? bytes.Length : Huffman.TargetTooSmall;
    }

    /// <summary>Writes in the shorter of the two forms; false if there is no room.</summary>
    public static bool TryWrite(ReadOnlySpan<byte> text, bool huffman, Span<byte> target, ref int at)
    {
        if (huffman && Huffman.EncodedLength(text) is var length && length < text.Length)
        {
            if (target.Length - at - length < HpackInteger.Size(length, 7))
            {
                return false;
            }

            _ = HpackInteger.TryWrite(target, ref at, length, 7, 0x80);
            at += Huffman.Encode(text, target[at..]);
            return true;
        }

        if (target.Length - at - text.Length < HpackInteger.Size(text.Length, 7))
        {
            return false;
        }

        _ = HpackInteger.TryWrite(target, ref at, text.Length, 7, 0x00);
        text.CopyTo(target[at..]);
        at += text.Length;
        return true;
    }
}
