using Weir.Proxy.Http;
using System.Buffers;

namespace Weir.Proxy.Http1;

/// <summary>Reads the header lines of a head (RFC 9112 section 5), and what they say of the connection.</summary>
static class HeaderParser
{
    static readonly SearchValues<byte> TokenBytes =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    /// <summary>What may not stand in a head at all: the same, but for the ends of lines.</summary>
    static readonly SearchValues<byte> BadHeadBytes = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    /// <summary>Whether all of it may stand in a name (RFC 9110 section 5.6.2). Also true of nothing.</summary>
    public static bool IsToken(ReadOnlySpan<byte> text) => text.IndexOfAnyExcept(TokenBytes) < 0;

    public static ParseError Parse(
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
            if (colon <= 0 || !IsToken(line[..colon]))
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
        var options = default(ConnectionOptions);
        Slice upgradeTo = default;
        for (var i = 0; i < head.Headers.Count; i++)
        {
            ref readonly var header = ref head.Headers[i];
            switch (header.Known)
            {
                case KnownHeader.Connection when !options.Read(buffer, header.Value.Of(buffer), head.Headers):
                    return ParseError.TooManyHeaders;
                case KnownHeader.Expect when isRequest:
                    head.ExpectsContinue = !head.IsHttp10 && Ascii.EqualsLower(header.Value.Of(buffer), "100-continue"u8);
                    break;
                case KnownHeader.Upgrade:
                    upgradeTo = header.Value;
                    break;
            }
        }

        head.Upgrade = options.Upgrades && !head.IsHttp10 ? upgradeTo : default;
        head.KeepAlive = !options.Closes && (!head.IsHttp10 || options.KeepsAlive);
        return ParseError.None;
    }
}
