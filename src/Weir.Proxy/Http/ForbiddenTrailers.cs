using System.Collections.Frozen;

namespace Weir.Proxy.Http;

/// <summary>
/// Fields that mean something only in a head (RFC 9110 section 6.5.1): framing, routing, what is wanted of the request, who asks, what the
/// content is; and those in which a proxy says who its client is. As trailers they are discarded, so that no recipient merges them into
/// a head which nobody has checked.
/// </summary>
static class ForbiddenTrailers
{
    static readonly string[] Names =
    [
        "te", "host", "trailer", "content-length",
        "cache-control", "expect", "max-forwards", "pragma", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
        "if-range", "authorization", "proxy-authorization", "proxy-authenticate", "www-authenticate", "cookie", "set-cookie",
        "content-encoding", "content-type", "content-range", "forwarded", "x-real-ip", "x-request-id",
    ];

    static readonly int Longest = Names.Max(n => n.Length);

    static readonly FrozenSet<string>.AlternateLookup<ReadOnlySpan<char>> Known = Names.ToFrozenSet().GetAlternateLookup<ReadOnlySpan<char>>();

    /// <param name="name">In any case.</param>
    public static bool Contains(ReadOnlySpan<byte> name)
    {
        if (HopFields.IsOne(name) || StartsWith(name, "x-forwarded-"u8) || StartsWith(name, "x-envoy-"u8))
        {
            return true;
        }

        if (name.Length > Longest)
        {
            return false;
        }

        Span<char> lower = stackalloc char[name.Length];
        for (var i = 0; i < lower.Length; i++)
        {
            lower[i] = char.ToLowerInvariant((char)name[i]);
        }

        return Known.Contains(lower);
    }

    static bool StartsWith(ReadOnlySpan<byte> name, ReadOnlySpan<byte> start) => name.Length >= start.Length && Ascii.EqualsLower(name[..start.Length], start);
}
