using Weir.Proxy.Http;
using System.Buffers.Text;

namespace Weir.Proxy.Http1;

/// <summary>How long a message's body is, by its headers (RFC 9112 section 6.3).</summary>
static class MessageFraming
{
    public static ParseError OfRequest(ReadOnlySpan<byte> buffer, MessageHead head)
    {
        var error = ReadFraming(buffer, head, out var isChunked);
        if (error != ParseError.None)
        {
            return error;
        }

        if (isChunked)
        {
            // Both lengths at once, and chunks in a version that has none, are how requests are smuggled.
            if (head.ContentLength >= 0 || head.IsHttp10)
            {
                return ParseError.BadTransferEncoding;
            }

            head.Body = BodyKind.Chunked;
        }
        else
        {
            head.Body = head.ContentLength > 0 ? BodyKind.Length : BodyKind.None;
        }

        // What follows the head of CONNECT is the tunnel's; a body before it could be taken for either (RFC 9110 section 9.3.6).
        return head.IsConnect && head.Body != BodyKind.None ? ParseError.ConnectWithBody : ParseError.None;
    }

    public static ParseError OfResponse(ReadOnlySpan<byte> buffer, MessageHead head, bool requestWasHead)
    {
        var error = ReadFraming(buffer, head, out var isChunked);
        if (error != ParseError.None)
        {
            return error;
        }

        if (isChunked && (head.ContentLength >= 0 || head.IsHttp10))
        {
            return ParseError.BadTransferEncoding;
        }

        head.Body = requestWasHead || head.Status is < 200 or 204 or 304 ? BodyKind.None
            : isChunked ? BodyKind.Chunked
            : head.ContentLength > 0 ? BodyKind.Length
            : head.ContentLength == 0 ? BodyKind.None
            : BodyKind.UntilClose;
        return ParseError.None;
    }

    static ParseError ReadFraming(ReadOnlySpan<byte> buffer, MessageHead head, out bool isChunked)
    {
        isChunked = false;
        for (var i = 0; i < head.Headers.Count; i++)
        {
            ref readonly var header = ref head.Headers[i];
            var value = header.Value.Of(buffer);
            if (header.Known == KnownHeader.ContentLength)
            {
                if (head.ContentLength >= 0 || !TryLength(value, out head.ContentLength))
                {
                    return ParseError.BadLength;
                }
            }
            else if (header.Known == KnownHeader.TransferEncoding)
            {
                if (isChunked || !Ascii.EqualsLower(value, "chunked"u8))
                {
                    return !isChunked && HasOtherCoding(value) ? ParseError.UnknownTransferCoding : ParseError.BadTransferEncoding;
                }

                isChunked = true;
            }
        }

        return ParseError.None;
    }

    /// <summary>
    /// One coding before a last "chunked": the end of the body could be told, but nothing here decodes it (RFC 9112 section 6.1). Without
    /// the last it could not (section 6.3).
    /// </summary>
    static bool HasOtherCoding(ReadOnlySpan<byte> value)
    {
        var comma = value.IndexOf((byte)',');
        if (comma <= 0 || !Ascii.EqualsLower(value[(comma + 1)..].Trim(" \t"u8), "chunked"u8))
        {
            return false;
        }

        var coding = value[..comma].TrimEnd(" \t"u8);
        return HeaderParser.IsToken(coding) && !Ascii.EqualsLower(coding, "chunked"u8) && !Ascii.EqualsLower(coding, "identity"u8);
    }

    static bool TryLength(ReadOnlySpan<byte> value, out long length)
    {
        length = -1;
        return value.Length is > 0 and <= 18 && value.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0
            && Utf8Parser.TryParse(value, out length, out var digits) && digits == value.Length;
    }
}
