using System.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Http1;

namespace Weir.Proxy.Tests;

public class HeadParserTests
{
    static ParseError Parse(string text, MessageHead head)
    {
        var bytes = Encoding.Latin1.GetBytes(text);
        return HeadParser.ParseRequest(bytes, HeadParser.FindEnd(bytes, 0), head);
    }

    /// <summary>Malformed and ambiguous requests: each would be read differently by some server, so each is refused.</summary>
    [Theory]
    [InlineData("GET / HTTP/1.1\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost:\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET /\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET a HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET * HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET /\u00e9 HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/2.0\r\nHost: a\r\n\r\n", ParseError.VersionNotSupported)]
    [InlineData("GET / HTTP/0.9\r\nHost: a\r\n\r\n", ParseError.VersionNotSupported)]
    [InlineData("GET / HTTP/1,1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: ::1]\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: []\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: [::1]:x\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET / HTTP/1.1\r\nHost: a[b]\r\n\r\n", ParseError.BadHost)]
    [InlineData("GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.BadHost)]
    [InlineData("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("CONNECT [::1] HTTP/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / http/1.1\r\nHost: a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost : a\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", ParseError.Malformed)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", ParseError.Malformed)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", ParseError.BadLength)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", ParseError.BadLength)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", ParseError.BadLength)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", ParseError.BadLength)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", ParseError.BadLength)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", ParseError.BadLength)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", ParseError.BadLength)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ParseError.BadTransferEncoding)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ParseError.BadTransferEncoding)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ParseError.UnknownTransferCoding)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", ParseError.BadTransferEncoding)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", ParseError.BadTransferEncoding)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n", ParseError.BadTransferEncoding)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", ParseError.BadTransferEncoding)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked \0\r\n\r\n", ParseError.Malformed)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", ParseError.BadTransferEncoding)]
    [InlineData("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n", ParseError.ConnectWithBody)]
    [InlineData("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n", ParseError.ConnectWithBody)]
    [InlineData("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ParseError.BadTransferEncoding)]
    public void Refuses_what_could_be_read_in_two_ways(string request, ParseError expected) => Assert.Equal(expected, Parse(request, new MessageHead()));

    /// <summary>RFC 9112 section 3.2 and RFC 3986 section 3.2.</summary>
    [Theory]
    [InlineData("a")]
    [InlineData("a.b-c_d~:0")]
    [InlineData("a:")]
    [InlineData("a:65535")]
    [InlineData("127.0.0.1:80")]
    [InlineData("[::1]")]
    [InlineData("[::ffff:1.2.3.4]:8080")]
    [InlineData("[fe80::1%25eth0]:80")]
    [InlineData("a%41!$&'()*+,;=")]
    public void A_host_may_be_a_name_or_an_address_with_a_port(string host) =>
        Assert.Equal(ParseError.None, Parse($"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n", new MessageHead()));

    /// <summary>RFC 9110 section 2.5: the first digit says whether a message can be understood.</summary>
    [Theory]
    [InlineData("HTTP/1.0", true)]
    [InlineData("HTTP/1.1", false)]
    [InlineData("HTTP/1.2", false)]
    [InlineData("HTTP/1.9", false)]
    public void A_later_minor_version_is_served_as_the_one_that_is_known(string version, bool isHttp10)
    {
        var head = new MessageHead();

        Assert.Equal(ParseError.None, Parse($"GET / {version}\r\nHost: a\r\n\r\n", head));
        Assert.Equal((isHttp10, !isHttp10), (head.IsHttp10, head.KeepAlive));
    }

    [Theory]
    [InlineData(ConnectionOptions.MaximumNamed, ParseError.None)]
    [InlineData(ConnectionOptions.MaximumNamed + 1, ParseError.TooManyHeaders)]
    public void Connection_may_name_so_many_headers_and_no_more(int count, ParseError expected)
    {
        var options = string.Join(",", Enumerable.Repeat("a", count));

        Assert.Equal(expected, Parse($"GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n", new MessageHead()));
        Assert.Equal(expected, Parse($"GET / HTTP/1.1\r\nHost: a\r\n{string.Concat(Enumerable.Repeat("Connection: a\r\n", count))}\r\n", new MessageHead()));
        Assert.Equal(ParseError.None, Parse($"GET / HTTP/1.1\r\nHost: a\r\nConnection: {options.Replace("a", "close,, keep-alive")}\r\n\r\n", new MessageHead()));
    }

    [Fact]
    public void Absolute_form_goes_before_host()
    {
        var head = new MessageHead();
        const string text = "GET HTTP://example.com:8080/a?b HTTP/1.1\r\nHost: other\r\n\r\n";

        Assert.Equal(ParseError.None, Parse(text, head));

        Assert.Equal("example.com:8080", Text(text, head.Authority));
        Assert.Equal("/a?b", Text(text, head.Target));
    }

    [Fact]
    public void Headers_that_connection_names_are_hop_by_hop_but_framing_is_not()
    {
        var head = new MessageHead();
        const string text = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, X-One, content-length\r\nX-One: 1\r\nContent-Length: 3\r\n\r\n";

        Assert.Equal(ParseError.None, Parse(text, head));

        Assert.False(head.KeepAlive);
        Assert.Equal(KnownHeader.Named, head.Headers[2].Known);
        Assert.Equal((BodyKind.Length, 3L), (head.Body, head.ContentLength));
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, BodyKind.Length)]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, BodyKind.None)]
    [InlineData("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, BodyKind.None)]
    [InlineData("HTTP/1.1 204 No Content\r\n\r\n", false, BodyKind.None)]
    [InlineData("HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n", false, BodyKind.Chunked)]
    [InlineData("HTTP/1.0 200 OK\r\n\r\n", false, BodyKind.UntilClose)]
    public void Responses_are_framed_as_the_rfc_says(string text, bool head, BodyKind expected)
    {
        var bytes = Encoding.Latin1.GetBytes(text);
        var message = new MessageHead();

        Assert.Equal(ParseError.None, HeadParser.ParseResponse(bytes, HeadParser.FindEnd(bytes, 0), message, head));
        Assert.Equal(expected, message.Body);
    }

    [Fact]
    public void Arbitrary_bytes_never_throw()
    {
        const int seed = 20261120;
        var random = new Random(seed);
        var head = new MessageHead();
        byte[][] words = [.. new[] { "GET ", "/", " HTTP/1.1", "\r\n", ":", "Host: a", "Content-Length", "chunked", "\r\n\r\n", "\0", " ", "é" }.Select(Encoding.UTF8.GetBytes)];
        for (var i = 0; i < 50_000; i++)
        {
            var bytes = Enumerable.Range(0, random.Next(1, 20)).SelectMany(_ => words[random.Next(words.Length)]).Concat("\r\n\r\n"u8.ToArray()).ToArray();
            var end = HeadParser.FindEnd(bytes, 0);
            try
            {
                HeadParser.ParseRequest(bytes, end, head);
                HeadParser.ParseResponse(bytes, end, head, false);
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"seed {seed}, round {i}: {Encoding.Latin1.GetString(bytes)}: {e}");
            }
        }
    }

    static string Text(string all, Slice slice) => all.Substring(slice.Start, slice.Length);
}
