using System.Buffers;
using System.Buffers.Text;
using Weir.Proxy.Http;

namespace Weir.Proxy.Http1;

/// <summary>
/// Reads heads of HTTP/1.0 and 1.1 messages (RFC 9112), strictly: whatever two parsers could read in two ways is refused. Pure:
/// it knows spans, not sockets.
/// </summary>
public static class HeadParser
{
    /// <summary>What may not stand in a field value: controls but for the tab.</summary>
    static readonly SearchValues<byte> BadValueBytes = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    /// <summary>What may not stand in a request target: controls, space, and what lies beyond ASCII.</summary>
    static readonly SearchValues<byte> TargetBytes = SearchValues.Create([.. Enumerable.Range(33, 94).Select(b => (byte)b)]);

    /// <summary>Whether the byte may stand in a name (RFC 9110 section 5.6.2).</summary>
    internal static bool IsToken(byte c) => HeaderParser.IsToken([c]);

    internal static bool IsToken(ReadOnlySpan<byte> name) => name.Length > 0 && HeaderParser.IsToken(name);

    internal static bool IsFieldValue(ReadOnlySpan<byte> value) => value.IndexOfAny(BadValueBytes) < 0;

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
            error = HeaderParser.Parse(buffer, lineEnd + 2, length, head, isRequest: true, out var host, out var hosts);
            if (error == ParseError.None)
            {
                error = CheckHost(buffer, head, host, hosts);
            }
        }

        return error == ParseError.None ? MessageFraming.OfRequest(buffer, head) : error;
    }

    public static ParseError ParseResponse(ReadOnlySpan<byte> buffer, int length, MessageHead head, bool requestWasHead)
    {
        head.Reset();
        head.Length = length;
        var lineEnd = buffer[..length].IndexOf("\r\n"u8);
        var line = buffer[..lineEnd];
        if (line.Length < 12 || !line.StartsWith("HTTP/"u8) || line[6] != '.' || !IsDigit(line[5]) || !IsDigit(line[7]) || line[8] != ' ')
        {
            return ParseError.Malformed;
        }

        head.IsHttp10 = line[7] == '0';
        if (line[5] != '1')
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

        var error = HeaderParser.Parse(buffer, lineEnd + 2, length, head, isRequest: false, out _, out _);
        return error == ParseError.None ? MessageFraming.OfResponse(buffer, head, requestWasHead) : error;
    }

    static ParseError ParseRequestLine(ReadOnlySpan<byte> line, MessageHead head)
    {
        var space = line.IndexOf((byte)' ');
        var last = line.LastIndexOf((byte)' ');
        if (space <= 0 || last == space || !HeaderParser.IsToken(line[..space]))
        {
            return ParseError.Malformed;
        }

        var version = line[(last + 1)..];
        if (version.Length != 8 || !version.StartsWith("HTTP/"u8) || version[6] != '.' || !IsDigit(version[5]) || !IsDigit(version[7]))
        {
            return ParseError.Malformed;
        }

        if (version[5] != '1')
        {
            return ParseError.VersionNotSupported;
        }

        // A later minor version is one that is understood, with more to it that may be left out (RFC 9110 section 2.5).
        head.IsHttp10 = version[7] == '0';

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
            return Authority.IsValid(target) && target.LastIndexOf((byte)':') is var colon && colon > target.LastIndexOf((byte)']') && colon < target.Length - 1
                ? ParseError.None : ParseError.Malformed;
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
        if (!Authority.IsValid(authority))
        {
            return ParseError.BadHost;
        }

        head.Authority = new Slice(at + scheme, authority.Length);

        // Without a path the slice is empty, and "/" is sent.
        head.Target = end < 0 ? default : new Slice(at + scheme + end, rest.Length - end);
        return ParseError.None;
    }

    static bool IsDigit(byte c) => c is >= (byte)'0' and <= (byte)'9';

    static ParseError CheckHost(ReadOnlySpan<byte> buffer, MessageHead head, Slice host, int hosts)
    {
        if (hosts > 1 || (hosts == 0 && !head.IsHttp10))
        {
            return ParseError.BadHost;
        }

        if (hosts == 1 && host.Length > 0 && !Authority.IsValid(host.Of(buffer)))
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
}
