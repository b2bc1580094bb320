namespace Weir.Proxy.Tests;

/// <summary>
/// Requests that parsers have been known to read in more than one way, or that no parser should take, from RFC 9112 and 9110 and from
/// published attacks (Watchfire's smuggling paper of 2005, "HTTP Desync Attacks" and its sequels, "T-Reqs", CVE reports). A case is
/// made harmless if it is refused with the connection closed, or passed on so that the upstream sees exactly one request with the
/// same end.
/// </summary>
static class SmugglingCases
{
    /// <summary>Bytes that a smuggled second request would consist of.</summary>
    public const string Smuggled = "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n";

    static string Post(string headers, string body) => $"POST /first HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}";

    static string Get(string headers) => $"GET /first HTTP/1.1\r\nHost: a\r\n{headers}\r\n";

    /// <summary>Must be answered with an error, and nothing after it on the connection may be read.</summary>
    public static IEnumerable<string> Refused()
    {
        const string Chunks = "5\r\nhello\r\n0\r\n\r\n";

        // Conflicting or malformed lengths (RFC 9112 section 6.3).
        foreach (var lengths in new[]
        {
            "Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 5, 6\r\n",
            "Content-Length: +5\r\n", "Content-Length: -5\r\n", "Content-Length: 0x5\r\n", "Content-Length: 5a\r\n", "Content-Length: 5 5\r\n", "Content-Length: 5;\r\n",
            "Content-Length: \r\n", "Content-Length: five\r\n", "Content-Length: 5.0\r\n", "Content-Length: 5e0\r\n", "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 9223372036854775808\r\n", "Content-Length: 18446744073709551621\r\n", "Content-Length: \"5\"\r\n", "Content-Length:\t5\0\r\n", "Content-Length: \u00b2\r\n",
            "Content-Length: 1_0\r\n", "Content-Length: 5,\r\n", "Content-Length: ,5\r\n", "Content-length: 5\r\nCONTENT-LENGTH: 0\r\n",
        })
        {
            yield return Post(lengths, "hello");
        }

        // Both lengths, and transfer codings that are not exactly "chunked" (sections 6.1 and 6.3).
        foreach (var codings in new[]
        {
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity, chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, gzip\r\n", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunkedx\r\n", "Transfer-Encoding: chunke\r\n", "Transfer-Encoding: chunk\r\n", "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: 'chunked'\r\n", "Transfer-Encoding: chunked;q=1\r\n", "Transfer-Encoding: chunked;\r\n", "Transfer-Encoding: ,chunked\r\n", "Transfer-Encoding: chunked,\r\n",
            "Transfer-Encoding: \vchunked\r\n", "Transfer-Encoding: chunked\v\r\n", "Transfer-Encoding: \fchunked\r\n", "Transfer-Encoding: chunked\0\r\n", "Transfer-Encoding: \0chunked\r\n",
            "Transfer-Encoding: c\0hunked\r\n", "Transfer-Encoding: chunked\u0085\r\n", "Transfer-Encoding: \u00a0chunked\r\n", "Transfer-Encoding:\u00a0chunked\r\n", "Transfer-Encoding: chun\tked\r\n",
            "Transfer-Encoding: \r\n", "Transfer-Encoding: chunked chunked\r\n", "Transfer-Encoding: chunked\u212a\r\n", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\r\n chunked\r\n", "Transfer-Encoding:\r\n\tchunked\r\n", "X: x\r\n Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\t: chunked\r\n", "Transfer-Encoding\0: chunked\r\n", "\0Transfer-Encoding: chunked\r\n", " Transfer-Encoding: chunked\r\n",
            "\tTransfer-Encoding: chunked\r\n", "Transfer\rEncoding: chunked\r\n", "X: x\nTransfer-Encoding: chunked\r\n", "X: x\rTransfer-Encoding: chunked\r\n", "X: x\r\rTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\n\r\n", "Transfer-Encoding: chunked\r\r\n", "\"Transfer-Encoding\": chunked\r\n", "Transfer-Encoding\u00ff: chunked\r\n", "Transfer(Encoding: chunked\r\n",
        })
        {
            yield return Post(codings, Chunks);
        }

        // Lengths hidden in the same ways.
        foreach (var hidden in new[]
        {
            "Content-Length : 5\r\n", "Content-Length\t: 5\r\n", " Content-Length: 5\r\n", "X: x\r\n Content-Length: 5\r\n", "X: x\nContent-Length: 5\r\n", "X: x\rContent-Length: 5\r\n",
            "Content-Length: 5\r\n\tx\r\n", "Content-Length:\r\n 5\r\n", "Content Length: 5\r\n", "Content-Length\r\n: 5\r\n",
        })
        {
            yield return Post(hidden, "hello");
        }

        // Chunked framing that is not what the grammar says (section 7.1).
        foreach (var chunks in new[]
        {
            "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n", "5\r\nhello\r\n0\r\n\n", "5\rhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "\t5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhell\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n", "g\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n",
            "5,5\r\nhello\r\n0\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "fffffffffffffffffffffff5\r\nhello\r\n0\r\n\r\n", "5\0\r\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;a\0\r\nhello\r\n0\r\n\r\n", "5;\rx\r\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\n\r\nhello\r\n0\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\n X: folded\r\n\r\n", "0\r\n: empty\r\n\r\n", "0\r\nX y: z\r\n\r\n", "0\r\nX\0: z\r\n\r\n",
            "0\r\nX : z\r\n\r\n", "0\r\nno colon\r\n\r\n", "0\r\nX: \x01\r\n\r\n",
        })
        {
            yield return Post("Transfer-Encoding: chunked\r\n", chunks);
        }

        // Request lines (section 3).
        foreach (var line in new[]
        {
            "GET  /first HTTP/1.1", "GET /first  HTTP/1.1", "GET\t/first\tHTTP/1.1", " GET /first HTTP/1.1", "GET /first HTTP/1.1 ", "GET /first", "GET /first HTTP/1.1\r", "GET /fi rst HTTP/1.1", "GET /first\0 HTTP/1.1",
            "GET /fir\x7fst HTTP/1.1", "GET /first\u00e9 HTTP/1.1", "GET /first#x HTTP/1.1", "GET first HTTP/1.1", "GET * HTTP/1.1", "GET ftp://a/ HTTP/1.1", "GET http:///first HTTP/1.1", "GET http://a b/ HTTP/1.1",
            "G(T /first HTTP/1.1", "GET: /first HTTP/1.1", "\0GET /first HTTP/1.1", "GET /first HTTP/1,1", "GET /first HTTP/11", "GET /first http/1.1", "GET /first HTTP /1.1", "GET /first HTTP/1.1x", "GET /first HTTP/0.9", "GET /first HTTP/2.1",
            "GET /first HTTP/2.0", "GET /first HTTP/1.10", "GET /first HTTP/01.1", "GET /first HTTPS/1.1", "GET /first\vHTTP/1.1", "GET\u00a0/first HTTP/1.1", "PRI * HTTP/2.0", "",
        })
        {
            yield return $"{(line.Length == 0 ? "GET" : line)}\r\nHost: a\r\n\r\n";
        }

        // Hosts (section 3.2) and field lines (section 5).
        foreach (var headers in new[]
        {
            "Host: b\r\n", "host: a\r\n", "Host : b\r\n", "X\r\n", "X\r\nY: z\r\n", ": x\r\n", "X Y: z\r\n", "X[: z\r\n", "X@: z\r\n", "X/: z\r\n", "X,: z\r\n", "X;: z\r\n", "X=: z\r\n", "X{: z\r\n", "\u00e9: z\r\n", "X: \0\r\n", "X: \x01\r\n", "X: \x1b\r\n",
            "X: \x7f\r\n", "X: a\rb\r\n", "X: a\nb\r\n", "X: a\r\n b\r\n", "X: a\r\n\tb\r\n", "\r: x\r\n", "X:\v\r\n",
        })
        {
            yield return Get(headers);
        }

        yield return "GET /first HTTP/1.1\r\n\r\n";
        foreach (var host in new[] { "", "a b", "a/b", "a@b", "a\\b", "a\tb", "a?b", "a#b", "<a>", "a\"b", "a^b", "a`b", "a|b", "a{b}", "\u00e9" })
        {
            yield return $"GET /first HTTP/1.1\r\nHost: {host}\r\n\r\n";
        }

        // Line feeds alone.
        yield return "GET /first HTTP/1.1\nHost: a\n\n" + Smuggled;
        yield return "GET /first HTTP/1.1\r\nHost: a\r\n\n" + Smuggled;
        yield return "GET /first HTTP/1.1\r\nHost: a\n\r\n";
        yield return "GET /first HTTP/1.1\nHost: a\r\n\r\n";

        // Chunks in a version that has none.
        yield return "POST /first HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        yield return "POST /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n";
    }

    /// <summary>Must be passed on as one request, whose end is where the proxy saw it; then <see cref="Smuggled"/> is the next.</summary>
    public static IEnumerable<string> Harmless()
    {
        // Unusual, but with one reading only.
        yield return Post("Content-Length: 5\r\n", "hello");
        yield return Post("Content-Length:5\r\n", "hello");
        yield return Post("Content-Length: \t 5 \t\r\n", "hello");
        yield return Post("Content-Length: 0005\r\n", "hello");
        yield return Post("Content-Length: 0\r\n", "");
        yield return Post("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
        yield return Post("TRANSFER-ENCODING:  chunked \r\n", "5\r\nhello\r\n0\r\n\r\n");
        yield return Post("Transfer-Encoding: chunked\r\n", "000005\r\nhello\r\n000\r\n\r\n");
        // Trailers that must not be merged into the head are discarded (RFC 9110 section 6.5.1).
        yield return Post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\n\r\n");
        yield return Post("Transfer-Encoding: chunked\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n");
        yield return Post("Transfer-Encoding: chunked\r\n", "0\r\nHost: evil\r\n\r\n");
        yield return Post("Transfer-Encoding: chunked\r\n", "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n");
        yield return Post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Trailer: 1\r\nY:2\r\n\r\n");
        yield return Post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n");
        yield return Post("Content-Length: 5\r\nConnection: Content-Length\r\n", "hello");
        yield return Post("Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n", "5\r\nhello\r\n0\r\n\r\n");
        yield return Post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello");
        yield return Post("Content_Length: 9\r\nContent-Length: 5\r\n", "hello");
        yield return Post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello");
        yield return Post("X-Content-Length: 99\r\nContent-Length: 5\r\n", "hello");
        yield return Get("Content-Length: 5\r\n") + "hello";
        yield return Get("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n";
        yield return Get("");
        yield return Get("Connection: keep-alive, X\r\nX: y\r\n");
        yield return Get("Connection: Host\r\n");
        yield return Get("X:\r\n");
        yield return Get("X: \u00e9\u00ff\r\n");
        yield return "\r\n\r\n" + Get("");
        yield return "GET http://a/first HTTP/1.1\r\nHost: b\r\n\r\n";
        yield return "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n";
        yield return "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
        yield return "HEAD /first HTTP/1.1\r\nHost: a\r\n\r\n";
        yield return Get("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n");
    }
}
