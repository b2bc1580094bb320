namespace Weir.Proxy.Filters;

/// <summary>What becomes of <c>%2F</c> and <c>%5C</c> in a path; names are Envoy's.</summary>
public enum EscapedSlashes
{
    Keep,
    Reject,
    UnescapeAndRedirect,
    UnescapeAndForward,
}

public enum PathVerdict
{
    Unchanged,
    Changed,

    /// <summary>The client is to ask again under the path as it now is.</summary>
    Redirect,
    Unsafe,
}

/// <summary>
/// Brings paths into one form before they are matched, so that a rule for <c>/admin</c> is not passed by <c>/x/..//%61dmin</c>
/// (RFC 3986 section 6.2.2). Never makes a path longer, so it works in place.
/// </summary>
/// <param name="NormalizesDots">Decodes unreserved characters, turns backslashes, removes dot segments.</param>
public sealed record PathRules(bool NormalizesDots, bool MergesSlashes, EscapedSlashes EscapedSlashes)
{
    public static readonly PathRules None = new(false, false, EscapedSlashes.Keep);

    public bool DoesNothing => this is { NormalizesDots: false, MergesSlashes: false, EscapedSlashes: EscapedSlashes.Keep };

    /// <param name="path">Without the query; begins with a slash.</param>
    /// <param name="length">Of the path as it is then.</param>
    public PathVerdict Apply(Span<byte> path, out int length)
    {
        length = path.Length;
        var redirects = false;
        if (EscapedSlashes != EscapedSlashes.Keep && Unescape(path, ref length))
        {
            if (EscapedSlashes == EscapedSlashes.Reject)
            {
                return PathVerdict.Unsafe;
            }

            redirects = EscapedSlashes == EscapedSlashes.UnescapeAndRedirect;
        }

        if (NormalizesDots && !Normalize(path, ref length))
        {
            return PathVerdict.Unsafe;
        }

        if (MergesSlashes)
        {
            Merge(path, ref length);
        }

        if (redirects)
        {
            MergeFirst(path, ref length);
            return PathVerdict.Redirect;
        }

        return length != path.Length ? PathVerdict.Changed : PathVerdict.Unchanged;
    }

    /// <summary>
    /// Of slashes and backslashes at the beginning one slash: a location that begins with two names another host (RFC 3986 section 4.2),
    /// and browsers take backslashes for slashes.
    /// </summary>
    static void MergeFirst(Span<byte> path, ref int length)
    {
        var found = path[..length].IndexOfAnyExcept((byte)'/', (byte)'\\');
        var from = found < 0 ? length : found;
        path[from..length].CopyTo(path[1..]);
        length = 1 + length - from;
        path[0] = (byte)'/';
    }

    /// <summary>Decodes escaped slashes; says whether there were any.</summary>
    static bool Unescape(Span<byte> path, ref int length)
    {
        int to = 0, found = 0;
        for (var at = 0; at < length; at++, to++)
        {
            var decoded = at + 2 < length && path[at] == '%' ? Decode(path[at + 1], path[at + 2]) : -1;
            if (decoded is '/' or '\\')
            {
                path[to] = (byte)decoded;
                at += 2;
                found++;
            }
            else
            {
                path[to] = path[at];
            }
        }

        length = to;
        return found > 0;
    }

    /// <returns>False for escapes that are none, and for an escaped NUL, which ends strings elsewhere.</returns>
    static bool Normalize(Span<byte> path, ref int length)
    {
        var to = 0;
        for (var at = 0; at < length; at++, to++)
        {
            var c = path[at];
            if (c == '\\')
            {
                c = (byte)'/';
            }
            else if (c == '%')
            {
                var decoded = at + 2 < length ? Decode(path[at + 1], path[at + 2]) : -1;
                if (decoded <= 0)
                {
                    return false;
                }

                if (IsUnreserved((byte)decoded))
                {
                    c = (byte)decoded;
                    at += 2;
                }
            }

            path[to] = c;
        }

        length = RemoveDotSegments(path[..to]);
        return true;
    }

    /// <summary>RFC 3986 section 5.2.4, for paths that begin with a slash.</summary>
    static int RemoveDotSegments(Span<byte> path)
    {
        int to = 0, at = 0;
        while (at < path.Length)
        {
            var next = path[(at + 1)..].IndexOf((byte)'/');
            var segment = next < 0 ? path[at..] : path.Slice(at, next + 1);
            var isLast = next < 0;
            if (segment.SequenceEqual("/."u8))
            {
                if (isLast)
                {
                    path[to++] = (byte)'/';
                }
            }
            else if (segment.SequenceEqual("/.."u8))
            {
                to = Math.Max(path[..to].LastIndexOf((byte)'/'), 0);
                if (isLast)
                {
                    path[to++] = (byte)'/';
                }
            }
            else
            {
                segment.CopyTo(path[to..]);
                to += segment.Length;
            }

            at += segment.Length;
        }

        if (to == 0 && path.Length > 0)
        {
            path[to++] = (byte)'/';
        }

        return to;
    }

    static void Merge(Span<byte> path, ref int length)
    {
        var to = 0;
        for (var at = 0; at < length; at++)
        {
            if (path[at] != '/' || to == 0 || path[to - 1] != '/')
            {
                path[to++] = path[at];
            }
        }

        length = to;
    }

    static int Decode(byte high, byte low)
    {
        int h = Digit(high), l = Digit(low);
        return h < 0 || l < 0 ? -1 : (h << 4) | l;
    }

    static int Digit(byte c) => c switch
    {
        >= (byte)'0' and <= (byte)'9' => c - '0',
        >= (byte)'a' and <= (byte)'f' => c - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => c - 'A' + 10,
        _ => -1,
    };

    static bool IsUnreserved(byte c) => char.IsAsciiLetterOrDigit((char)c) || c is (byte)'-' or (byte)'.' or (byte)'_' or (byte)'~';
}
