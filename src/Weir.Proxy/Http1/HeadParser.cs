using System.Buffers;
using System.Buffers.Text;

namespace Weir.Proxy.Http1;

/// <summary>
/// Reads heads of HTTP/1.0 and 1.1 messages (RFC 9112), strictly: whatever two parsers could read in two ways is refused. Pure:
/// it knows spans, not sockets.
/// </summary>
public static class HeadParser
{
    static readonly SearchValues<byte> TokenBytes =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    /// <summary>What may not stand in a field value: controls but for the tab.</summary>
    static readonly SearchValues<byte> BadValueBytes = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    /// <summary>What may not stand in a head at all: the same, but for the ends of lines.</summary>
    static readonly SearchValues<byte> BadHeadBytes = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    /// <summary>What may not stand in a request target: controls, space, and what lies beyond ASCII.</summary>
    static readonly SearchValues<byte> TargetBytes = SearchValues.Create([.. Enumerable.Range(33, 94).Select(b => (byte)b)]);

    static readonly SearchValues<byte> AuthorityBytes =
        SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~%!$&'()*+,;=:[]"u8);

    /// <summary>Whether the byte may stand in a name (RFC 9110 section 5.6.2).</summary>
    internal static bool IsToken(byte c) => TokenBytes.Contains(c);

    /// <summary>The length of the head at the start of the buffer including its empty line, or -1 while it is not complete.</summary>
    public static int FindEnd(ReadOnlySpan<byte> buffer, int searchedBefore)
    {
        var from = Math.Max(0, searchedBefore - 3);
        var at = buffer[from..].IndexOf("\r\n\r\n"u8);
        return at < 0 ? -1 : from + at + 4;
    }

    /// <summary>A line feed without a carriage return before it: the head cannot become valid any more.</summary>
    public static bool HasLoneLineFeed(ReadOnlySpan<byte> buffer)
    {
        for (var at = buffer.IndexOf((byte)'\n'); at >= 0;)
        {
            if (at == 0 || buffer[at - 1] != '\r')
            {
                return true;
            }

            var next = buffer[(at + 1)..].IndexOf((byte)'\n');
            at = next < 0 ? -1 : at + 1 + next;
        }

        return false;
    }

    /// <summary>Empty lines before a request line are ignored (RFC 9112 section 2.2).</summary>
    public static int LeadingEmptyLines(ReadOnlySpan<byte> buffer)
    {
        var skip = 0;
        while (buffer[skip..].StartsWith("\r\n"u8))
        {
            skip += 2;
        }

        return skip;
    }

    public static ParseError ParseRequest(ReadOnlySpan<byte> buffer, int length, MessageHead head)
    {
        head.Reset();
        head.Length = length;
        var lineEnd = buffer[..length].IndexOf("\r\n"u8);
        var error = ParseRequestLine(buffer[..lineEnd], head);
        if (error == ParseError.None)
        {
            error = ParseHeaders(buffer, lineEnd + 2, length, head, isRequest: true, out var host, out var hosts);
            if (error == ParseError.None)
            {
                error = CheckHost(buffer, head, host, hosts);
            }
        }

        return error == ParseError.None ? FrameRequest(buffer, head) : error;
    }

    public static ParseError ParseResponse(ReadOnlySpan<byte> buffer, int length, MessageHead head, bool requestWasHead)
    {
        head.Reset();
        head.Length = length;
        var lineEnd = buffer[..length].IndexOf("\r\n"u8);
        var line = buffer[..lineEnd];
        if (line.Length < 12 || !line.StartsWith("HTTP/1."u8) || line[8] != ' ')
        {
            return ParseError.Malformed;
        }

        head.IsHttp10 = line[7] == '0';
        if (line[7] is not ((byte)'0' or (byte)'1'))
        {
            return ParseError.VersionNotSupported;
        }

        if (!Utf8Parser.TryParse(line.Slice(9, 3), out int status, out var digits) || digits != 3 || status < 100 || (line.Length > 12 && line[12] != ' '))
        {
            return ParseError.Malformed;
        }

        head.Status = status;
        head.Reason = line.Length > 13 ? new Slice(13, line.Length - 13) : default;
        if (line[12..].IndexOfAny(BadValueBytes) >= 0)
        {
            return ParseError.Malformed;
        }

        var error = ParseHeaders(buffer, lineEnd + 2, length, head, isRequest: false, out _, out _);
        return error == ParseError.None ? FrameResponse(buffer, head, requestWasHead) : error;
    }

    static ParseError ParseRequestLine(ReadOnlySpan<byte> line, MessageHead head)
    {
        var space = line.IndexOf((byte)' ');
        var last = line.LastIndexOf((byte)' ');
        if (space <= 0 || last == space || line[..space].IndexOfAnyExcept(TokenBytes) >= 0)
        {
            return ParseError.Malformed;
        }

        var version = line[(last + 1)..];
        if (version.SequenceEqual("HTTP/1.0"u8))
        {
            head.IsHttp10 = true;
        }
        else if (!version.SequenceEqual("HTTP/1.1"u8))
        {
            return version.StartsWith("HTTP/"u8) && version.Length == 8 ? ParseError.VersionNotSupported : ParseError.Malformed;
        }

        head.Method = new Slice(0, space);
        var method = line[..space];
        head.IsHead = method.SequenceEqual("HEAD"u8);
        head.IsConnect = method.SequenceEqual("CONNECT"u8);
        var target = line[(space + 1)..last];
        if (target.IsEmpty || target.IndexOfAnyExcept(TargetBytes) >= 0 || target.Contains((byte)'#'))
        {
            return ParseError.Malformed;
        }

        return ParseTarget(target, space + 1, method, head);
    }

    /// <summary>The four forms of RFC 9112 section 3.2.</summary>
    static ParseError ParseTarget(ReadOnlySpan<byte> target, int at, ReadOnlySpan<byte> method, MessageHead head)
    {
        if (head.IsConnect)
        {
            head.Authority = new Slice(at, target.Length);
            return target.IndexOfAnyExcept(AuthorityBytes) < 0 ? ParseError.None : ParseError.Malformed;
        }

        if (target[0] == '/')
        {
            head.Target = new Slice(at, target.Length);
            return ParseError.None;
        }

        if (target.SequenceEqual("*"u8))
        {
            head.Target = new Slice(at, 1);
            return method.SequenceEqual("OPTIONS"u8) ? ParseError.None : ParseError.Malformed;
        }

        var scheme = target.Length > 7 && Ascii.EqualsLower(target[..7], "http://"u8) ? 7
            : target.Length > 8 && Ascii.EqualsLower(target[..8], "https://"u8) ? 8 : 0;
        if (scheme == 0)
        {
            return ParseError.Malformed;
        }

        var rest = target[scheme..];
        var end = rest.IndexOfAny((byte)'/', (byte)'?');
        var authority = end < 0 ? rest : rest[..end];
        if (authority.IsEmpty || authority.IndexOfAnyExcept(AuthorityBytes) >= 0)
        {
            return ParseError.BadHost;
        }

        head.Authority = new Slice(at + scheme, authority.Length);

        // Without a path the slice is empty, and "/" is sent.
        head.Target = end < 0 ? default : new Slice(at + scheme + end, rest.Length - end);
        return ParseError.None;
    }

    static ParseError ParseHeaders(
        ReadOnlySpan<byte> buffer, int at, int length, MessageHead head, bool isRequest, out Slice host, out int hosts)
    {
        host = default;
        hosts = 0;
        var end = length - 2;

        // Once for all lines: what is left to find in each is a carriage return or a line feed out of place.
        if (buffer[at..end].IndexOfAny(BadHeadBytes) >= 0)
        {
            return ParseError.Malformed;
        }

        while (at < end)
        {
            var line = buffer[at..length];
            var lineLength = line.IndexOfAny((byte)'\r', (byte)'\n');
            if (line[lineLength] != '\r' || line[lineLength + 1] != '\n')
            {
                return ParseError.Malformed;
            }

            line = line[..lineLength];
            var colon = line.IndexOf((byte)':');

            // A leading space (obs-fold), a space before the colon and an empty name all fail the token test.
            if (colon <= 0 || line[..colon].IndexOfAnyExcept(TokenBytes) >= 0)
            {
                return ParseError.Malformed;
            }

            var (from, to) = (colon + 1, lineLength);
            while (from < to && line[from] is (byte)' ' or (byte)'\t')
            {
                from++;
            }

            while (from < to && line[to - 1] is (byte)' ' or (byte)'\t')
            {
                to--;
            }

            var slice = new Slice(at + from, to - from);
            var known = Classify(line[..colon]);
            if (!head.Headers.Add(new Slice(at, colon), slice, known))
            {
                return ParseError.TooManyHeaders;
            }

            if (known == KnownHeader.Host)
            {
                host = slice;
                hosts++;
            }

            at += lineLength + 2;
        }

        return InterpretConnection(buffer, head, isRequest);
    }

    static KnownHeader Classify(ReadOnlySpan<byte> name) => name.Length switch
    {
        2 when Ascii.EqualsLower(name, "te"u8) => KnownHeader.HopByHop,
        4 when Ascii.EqualsLower(name, "host"u8) => KnownHeader.Host,
        6 when Ascii.EqualsLower(name, "expect"u8) => KnownHeader.Expect,
        7 when Ascii.EqualsLower(name, "upgrade"u8) => KnownHeader.Upgrade,
        10 when Ascii.EqualsLower(name, "connection"u8) => KnownHeader.Connection,
        10 when Ascii.EqualsLower(name, "keep-alive"u8) => KnownHeader.HopByHop,
        14 when Ascii.EqualsLower(name, "content-length"u8) => KnownHeader.ContentLength,
        16 when Ascii.EqualsLower(name, "proxy-connection"u8) => KnownHeader.HopByHop,
        17 when Ascii.EqualsLower(name, "transfer-encoding"u8) => KnownHeader.TransferEncoding,
        18 when Ascii.EqualsLower(name, "proxy-authenticate"u8) => KnownHeader.HopByHop,
        19 when Ascii.EqualsLower(name, "proxy-authorization"u8) => KnownHeader.HopByHop,
        _ => KnownHeader.Other,
    };

    static ParseError InterpretConnection(ReadOnlySpan<byte> buffer, MessageHead head, bool isRequest)
    {
        bool close = false, keepAlive = false, upgrade = false;
        Slice upgradeTo = default;
        for (var i = 0; i < head.Headers.Count; i++)
        {
            ref readonly var header = ref head.Headers[i];
            var value = header.Value.Of(buffer);
            switch (header.Known)
            {
                case KnownHeader.Connection:
                    while (!value.IsEmpty)
                    {
                        var comma = value.IndexOf((byte)',');
                        var option = Ascii.Trim(comma < 0 ? value : value[..comma]);
                        value = comma < 0 ? default : value[(comma + 1)..];
                        close |= Ascii.EqualsLower(option, "close"u8);
                        keepAlive |= Ascii.EqualsLower(option, "keep-alive"u8);
                        upgrade |= Ascii.EqualsLower(option, "upgrade"u8);
                        MarkNamed(buffer, head, option);
                    }

                    break;
                case KnownHeader.Expect when isRequest:
                    head.ExpectsContinue = !head.IsHttp10 && Ascii.EqualsLower(value, "100-continue"u8);
                    break;
                case KnownHeader.Upgrade:
                    upgradeTo = header.Value;
                    break;
            }
        }

        head.Upgrade = upgrade && !head.IsHttp10 ? upgradeTo : default;
        head.KeepAlive = !close && (!head.IsHttp10 || keepAlive);
        return ParseError.None;
    }

    static void MarkNamed(ReadOnlySpan<byte> buffer, MessageHead head, ReadOnlySpan<byte> option)
    {
        for (var i = 0; i < head.Headers.Count; i++)
        {
            // Framing and routing headers cannot be talked away by naming them.
            if (head.Headers[i].Known == KnownHeader.Other && head.Headers[i].Name.Length == option.Length
                && head.Headers[i].Name.Of(buffer).Length > 0 && EqualsIgnoreCase(head.Headers[i].Name.Of(buffer), option))
            {
                head.Headers.MarkNamed(i);
            }
        }
    }

    static bool EqualsIgnoreCase(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b) => System.Text.Ascii.EqualsIgnoreCase(a, b);

    static ParseError CheckHost(ReadOnlySpan<byte> buffer, MessageHead head, Slice host, int hosts)
    {
        if (hosts > 1 || (hosts == 0 && !head.IsHttp10))
        {
            return ParseError.BadHost;
        }

        if (hosts == 1 && host.Of(buffer).IndexOfAnyExcept(AuthorityBytes) >= 0)
        {
            return ParseError.BadHost;
        }

        // In absolute-form the target's authority replaces whatever Host says (RFC 9112 section 3.2.2).
        if (head.Authority.Length == 0)
        {
            head.Authority = host;
        }

        return head.Authority.Length == 0 && !head.IsHttp10 ? ParseError.BadHost : ParseError.None;
    }

    static ParseError FrameRequest(ReadOnlySpan<byte> buffer, MessageHead head)
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

    static ParseError FrameResponse(ReadOnlySpan<byte> buffer, MessageHead head, bool requestWasHead)
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
        return coding.IndexOfAnyExcept(TokenBytes) < 0 && !Ascii.EqualsLower(coding, "chunked"u8) && !Ascii.EqualsLower(coding, "identity"u8);
    }

    static bool TryLength(ReadOnlySpan<byte> value, out long length)
    {
        length = -1;
        return value.Length is > 0 and <= 18 && value.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0
            && Utf8Parser.TryParse(value, out length, out var digits) && digits == value.Length;
    }
}
