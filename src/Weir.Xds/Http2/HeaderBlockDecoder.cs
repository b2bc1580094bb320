using System.Text;

namespace Weir.Xds.Http2;

/// <summary>
/// Reads header blocks (RFC 7541) of a peer that was told to use no dynamic table: the static table, literals and Huffman coding are
/// all that it can send then.
/// </summary>
static class HeaderBlockDecoder
{
    /// <summary>A block with more than this, decoded, is refused.</summary>
    public const int MaximumFields = 64 * 1024;

    static readonly (string Name, string Value)[] StaticTable =
    [
        (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"),
        (":status", "200"), (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"),
        ("accept-charset", ""), ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
        ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
        ("content-encoding", ""), ("content-language", ""), ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
        ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
        ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
        ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""),
        ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
    ];

    /// <exception cref="InvalidDataException">The block is malformed, refers to a dynamic table, or is too large.</exception>
    public static List<(string Name, string Value)> Decode(ReadOnlySpan<byte> block)
    {
        var fields = new List<(string, string)>();
        var scratch = new byte[Math.Min(block.Length * 2, MaximumFields)];
        var size = 0;
        while (block.Length > 0)
        {
            var first = block[0];
            if ((first & 0xe0) == 0x20)
            {
                // A change of the table's size: to what the peer was told, or at first to what it started with. Nothing is kept either way.
                ReadNumber(ref block, 5);
                continue;
            }

            var field = (first & 0x80) != 0 ? Indexed(ReadNumber(ref block, 7)) : Literal(ref block, (first & 0x40) != 0 ? 6 : 4, scratch);
            size += field.Name.Length + field.Value.Length;
            if (size > MaximumFields)
            {
                throw new InvalidDataException("the control plane's header block is too large");
            }

            fields.Add(field);
        }

        return fields;
    }

    static (string Name, string Value) Indexed(int index) => index > 0 && index <= StaticTable.Length ? StaticTable[index - 1]
        : throw new InvalidDataException("the control plane's header block refers to a table that it was told not to use");

    static (string Name, string Value) Literal(ref ReadOnlySpan<byte> block, int prefix, Span<byte> scratch)
    {
        var index = ReadNumber(ref block, prefix);
        var name = index == 0 ? ReadText(ref block, scratch) : Indexed(index).Name;
        return (name, ReadText(ref block, scratch));
    }

    static string ReadText(ref ReadOnlySpan<byte> block, Span<byte> scratch)
    {
        var isHuffman = block.Length > 0 && (block[0] & 0x80) != 0;
        var length = ReadNumber(ref block, 7);
        if (length > block.Length)
        {
            throw Malformed();
        }

        var text = block[..length];
        block = block[length..];
        if (!isHuffman)
        {
            return Encoding.UTF8.GetString(text);
        }

        return HuffmanCode.TryDecode(text, scratch, out var written) ? Encoding.UTF8.GetString(scratch[..written]) : throw Malformed();
    }

    /// <summary>An integer with this many bits in its first octet (RFC 7541 section 5.1).</summary>
    static int ReadNumber(ref ReadOnlySpan<byte> block, int prefix)
    {
        const int mostShift = 21;
        if (block.Length == 0)
        {
            throw Malformed();
        }

        var most = (1 << prefix) - 1;
        var value = block[0] & most;
        block = block[1..];
        if (value < most)
        {
            return value;
        }

        for (var shift = 0; ; shift += 7)
        {
            if (block.Length == 0 || shift > mostShift)
            {
                throw Malformed();
            }

            var octet = block[0];
            block = block[1..];
            value += (octet & 0x7f) << shift;
            if ((octet & 0x80) == 0)
            {
                return value;
            }
        }
    }

    static InvalidDataException Malformed() => new("the control plane's header block is malformed");
}
