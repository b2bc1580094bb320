using System.Buffers;
using Weir.Proxy.Http;
using Weir.Proxy.Http1;

namespace Weir.Proxy.Http2;

/// <summary>
/// The rules for one header field (RFC 9113 section 8): what it is, and whether it may stand in a message at all. As strict as the
/// HTTP/1 parser, so that whatever is accepted here can be passed on to either version.
/// </summary>
public static class HeaderFieldRules
{
    /// <summary>Digits of a Content-Length that fits a long.</summary>
    const int MaximumLengthDigits = 18;

    /// <summary>A token (RFC 9110 section 5.6.2) without upper case (RFC 9113 section 8.2.1).</summary>
    static readonly SearchValues<byte> NameBytes = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"u8);

    static readonly SearchValues<byte> TokenBytes =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    static readonly SearchValues<byte> BadValueBytes = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    static readonly SearchValues<byte> SchemeBytes =
        SearchValues.Create("+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    /// <summary>Visible ASCII but for the start of a fragment.</summary>
    static readonly SearchValues<byte> PathBytes =
        SearchValues.Create([.. Enumerable.Range(33, 94).Where(b => b != '#').Select(b => (byte)b)]);

    public static FieldKind Classify(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (name.IsEmpty)
        {
            return FieldKind.Malformed;
        }

        if (name[0] == ':')
        {
            return ClassifyPseudoHeader(name, value);
        }

        if (name.IndexOfAnyExcept(NameBytes) >= 0 || !IsValue(value))
        {
            return FieldKind.Malformed;
        }

        return name.Length switch
        {
            2 when name.SequenceEqual("te"u8) => Ascii.EqualsLower(value, "trailers"u8) ? FieldKind.Te : FieldKind.Malformed,
            4 when name.SequenceEqual("host"u8) => Authority.IsValid(value) ? FieldKind.Host : FieldKind.Malformed,
            6 when name.SequenceEqual("cookie"u8) => FieldKind.Cookie,
            6 when name.SequenceEqual("expect"u8) => FieldKind.Expect,
            7 or 10 or 16 or 17 when HopFields.IsOne(name) => FieldKind.Malformed,
            14 when name.SequenceEqual("content-length"u8) => IsLength(value) ? FieldKind.ContentLength : FieldKind.Malformed,
            18 when name.SequenceEqual("proxy-authenticate"u8) => FieldKind.ProxyAuthentication,
            19 when name.SequenceEqual("proxy-authorization"u8) => FieldKind.ProxyAuthentication,
            _ => FieldKind.Regular,
        };
    }

    static FieldKind ClassifyPseudoHeader(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var (kind, isValid) = name.Length switch
        {
            5 when name.SequenceEqual(":path"u8) => (FieldKind.Path, IsPath(value)),
            7 when name.SequenceEqual(":method"u8) => (FieldKind.Method, !value.IsEmpty && value.IndexOfAnyExcept(TokenBytes) < 0),
            7 when name.SequenceEqual(":scheme"u8) => (FieldKind.Scheme, IsScheme(value)),
            7 when name.SequenceEqual(":status"u8) => (FieldKind.Status, IsStatus(value)),
            9 when name.SequenceEqual(":protocol"u8) => (FieldKind.Protocol, !value.IsEmpty && value.IndexOfAnyExcept(TokenBytes) < 0),
            10 when name.SequenceEqual(":authority"u8) => (FieldKind.Authority, Authority.IsValid(value)),
            _ => (FieldKind.Malformed, false),
        };
        return isValid ? kind : FieldKind.Malformed;
    }

    /// <summary>No controls but tabs, and no white space at either end (RFC 9113 section 8.2.1).</summary>
    static bool IsValue(ReadOnlySpan<byte> value) =>
        value.IsEmpty
        || (value[0] is not ((byte)' ' or (byte)'\t') && value[^1] is not ((byte)' ' or (byte)'\t') && value.IndexOfAny(BadValueBytes) < 0);

    static bool IsLength(ReadOnlySpan<byte> value) =>
        value.Length is > 0 and <= MaximumLengthDigits && value.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0;

    static bool IsScheme(ReadOnlySpan<byte> value) =>
        !value.IsEmpty && char.IsAsciiLetter((char)value[0]) && value.IndexOfAnyExcept(SchemeBytes) < 0;

    /// <summary>Never empty; "*" is for OPTIONS alone, which <see cref="PseudoHeaders"/> checks (RFC 9113 section 8.3.1).</summary>
    static bool IsPath(ReadOnlySpan<byte> value) =>
        !value.IsEmpty && (value[0] == '/' || value.SequenceEqual("*"u8)) && value.IndexOfAnyExcept(PathBytes) < 0;

    /// <summary>Three digits from 100 on, and not 101, which HTTP/2 does not have (RFC 9113 section 8.6).</summary>
    static bool IsStatus(ReadOnlySpan<byte> value) =>
        value.Length == 3 && value.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0 && value[0] != '0' && !value.SequenceEqual("101"u8);
}
