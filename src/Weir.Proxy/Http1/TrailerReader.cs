using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>
/// Reads the trailers behind a last chunk (RFC 9112 section 7.1.2). Those that belong in a head are discarded
/// (<see cref="ForbiddenTrailers"/>).
/// </summary>
struct TrailerReader(BufferPool buffers)
{
    /// <summary>Of all trailers of a message.</summary>
    const int MaximumBytes = 8 * 1024;

    int searched;
    FieldBlock? fields;
    bool hasFields;

    /// <summary>Null when there were none.</summary>
    public readonly FieldBlock? Fields => hasFields ? fields : null;

    public ReadStatus Read(ReadOnlySpan<byte> bytes, out int length)
    {
        length = 0;
        if (bytes.StartsWith("\r\n"u8))
        {
            length = 2;
            return ReadStatus.End;
        }

        var end = bytes[searched..].IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            searched = Math.Max(0, bytes.Length - 3);
            return bytes.Length >= MaximumBytes || IsHopeless(bytes) ? ReadStatus.Failed : ReadStatus.Wait;
        }

        length = searched + end + 4;
        searched = 0;
        return length <= MaximumBytes && Parse(bytes[..(length - 2)]) ? ReadStatus.End : ReadStatus.Failed;
    }

    /// <summary>What has come cannot become trailers: there is no need to wait for the rest.</summary>
    static bool IsHopeless(ReadOnlySpan<byte> bytes) =>
        bytes.Length > 0 && bytes[0] != '\r' && !HeadParser.IsToken(bytes[0])
        || (bytes.Length > 1 && bytes[0] == '\r' && bytes[1] != '\n')
        || HeadParser.HasLoneLineFeed(bytes);

    bool Parse(ReadOnlySpan<byte> lines)
    {
        while (!lines.IsEmpty)
        {
            var end = lines.IndexOfAny((byte)'\r', (byte)'\n');
            if (end < 0 || lines[end] != '\r' || lines[end + 1] != '\n')
            {
                return false;
            }

            var line = lines[..end];
            lines = lines[(end + 2)..];
            var colon = line.IndexOf((byte)':');
            if (colon <= 0)
            {
                return false;
            }

            var name = line[..colon];
            var value = Ascii.Trim(line[(colon + 1)..]);
            if (!HeadParser.IsToken(name) || !HeadParser.IsFieldValue(value))
            {
                return false;
            }

            if (!ForbiddenTrailers.Contains(name) && !Add(name, value))
            {
                return false;
            }
        }

        return true;
    }

    bool Add(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        fields ??= new FieldBlock();
        if (!hasFields)
        {
            hasFields = true;
            fields.Begin(buffers);
        }

        return fields.Add(buffers, name, value, MaximumBytes);
    }

    public void Release()
    {
        if (hasFields)
        {
            hasFields = false;
            fields!.Release(buffers);
        }

        searched = 0;
    }
}
