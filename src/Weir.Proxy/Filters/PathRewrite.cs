namespace Weir.Proxy.Filters;

/// <summary>A request's path and query as the upstream, or a redirect, is to see them: two pieces, one after the other.</summary>
readonly ref struct PathRewrite
{
    PathRewrite(ReadOnlySpan<byte> first, ReadOnlySpan<byte> rest)
    {
        First = first;
        Rest = rest;
    }

    public ReadOnlySpan<byte> First { get; }

    public ReadOnlySpan<byte> Rest { get; }

    public int Length => First.Length + Rest.Length;

    /// <param name="target">Path and query; empty, or the query alone, where an absolute target had no path.</param>
    /// <param name="replacement">Of what was matched; empty to leave the path as it is.</param>
    /// <param name="matched">Bytes of the path that the route's prefix matched.</param>
    public static PathRewrite Of(ReadOnlySpan<byte> target, ReadOnlySpan<byte> replacement, int matched)
    {
        // That of the server itself has no path to rewrite.
        if (target.SequenceEqual("*"u8))
        {
            return new PathRewrite(default, target);
        }

        var hasPath = target.Length > 0 && target[0] == '/';
        if (replacement.IsEmpty)
        {
            return new PathRewrite(hasPath ? default : "/"u8, target);
        }

        // Without a path it was "/" that was matched.
        return new PathRewrite(replacement, hasPath ? target[Math.Min(matched, target.Length)..] : target);
    }
}
