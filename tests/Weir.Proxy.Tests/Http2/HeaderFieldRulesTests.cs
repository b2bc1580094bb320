using System.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Http1;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class HeaderFieldRulesTests
{
    /// <summary>The section of RFC 9113, a field, and what it is.</summary>
    [Theory]
    [InlineData("8.2", "x-a", "b", FieldKind.Regular)]
    [InlineData("8.2", "x-a", "", FieldKind.Regular)]
    [InlineData("8.2", "x-a", "a b\tc \u00e9", FieldKind.Regular)]
    [InlineData("8.2", "", "b", FieldKind.Malformed)]
    [InlineData("8.2", "X-a", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x a", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x\0", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x\r\n", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x\u007f", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x\u00e9", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x:y", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x(", "b", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "a\0", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "a\rb", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "a\nb", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "a\u0001", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "a\u007f", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", " a", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "a ", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "\ta", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", "a\t", FieldKind.Malformed)]
    [InlineData("8.2.1", "x-a", " ", FieldKind.Malformed)]
    [InlineData("8.2.2", "connection", "close", FieldKind.Malformed)]
    [InlineData("8.2.2", "keep-alive", "timeout=5", FieldKind.Malformed)]
    [InlineData("8.2.2", "proxy-connection", "close", FieldKind.Malformed)]
    [InlineData("8.2.2", "transfer-encoding", "chunked", FieldKind.Malformed)]
    [InlineData("8.2.2", "upgrade", "websocket", FieldKind.Malformed)]
    [InlineData("8.2.2", "te", "trailers", FieldKind.Te)]
    [InlineData("8.2.2", "te", "gzip", FieldKind.Malformed)]
    [InlineData("8.2.2", "te", "trailers, gzip", FieldKind.Malformed)]
    [InlineData("8.2.2", "te", "", FieldKind.Malformed)]
    [InlineData("8.2.3", "cookie", "a=b", FieldKind.Cookie)]
    [InlineData("8.1.1", "content-length", "0", FieldKind.ContentLength)]
    [InlineData("8.1.1", "content-length", "", FieldKind.Malformed)]
    [InlineData("8.1.1", "content-length", "+1", FieldKind.Malformed)]
    [InlineData("8.1.1", "content-length", "1, 1", FieldKind.Malformed)]
    [InlineData("8.1.1", "content-length", "9999999999999999999", FieldKind.Malformed)]
    [InlineData("8.3", ":", "a", FieldKind.Malformed)]
    [InlineData("8.3", ":foo", "a", FieldKind.Malformed)]
    [InlineData("8.3", ":Method", "GET", FieldKind.Malformed)]
    [InlineData("8.3", ":host", "a", FieldKind.Malformed)]
    [InlineData("8.3.1", ":method", "GET", FieldKind.Method)]
    [InlineData("8.3.1", ":method", "", FieldKind.Malformed)]
    [InlineData("8.3.1", ":method", "GET /", FieldKind.Malformed)]
    [InlineData("8.3.1", ":scheme", "https", FieldKind.Scheme)]
    [InlineData("8.3.1", ":scheme", "", FieldKind.Malformed)]
    [InlineData("8.3.1", ":scheme", "ht tp", FieldKind.Malformed)]
    [InlineData("8.3.1", ":scheme", "1http", FieldKind.Malformed)]
    [InlineData("8.3.1", ":authority", "a.example:80", FieldKind.Authority)]
    [InlineData("8.3.1", ":authority", "[::1]:80", FieldKind.Authority)]
    [InlineData("8.3.1", ":authority", "", FieldKind.Malformed)]
    [InlineData("8.3.1", ":authority", "user@a", FieldKind.Malformed)]
    [InlineData("8.3.1", ":authority", "a/b", FieldKind.Malformed)]
    [InlineData("8.3.1", "host", "a.example", FieldKind.Host)]
    [InlineData("8.3.1", "host", "a b", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "/a?b", FieldKind.Path)]
    [InlineData("8.3.1", ":path", "*", FieldKind.Path)]
    [InlineData("8.3.1", ":path", "", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "a", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "/a b", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "/a#b", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "/\u00e9", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "/a\r\nx: y", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "*/a", FieldKind.Malformed)]
    [InlineData("8.3.1", ":path", "http://a/", FieldKind.Malformed)]
    [InlineData("8.3.2", ":status", "200", FieldKind.Status)]
    [InlineData("8.3.2", ":status", "999", FieldKind.Status)]
    [InlineData("8.3.2", ":status", "20", FieldKind.Malformed)]
    [InlineData("8.3.2", ":status", "099", FieldKind.Malformed)]
    [InlineData("8.3.2", ":status", "2000", FieldKind.Malformed)]
    [InlineData("8.3.2", ":status", "2x0", FieldKind.Malformed)]
    [InlineData("8.6", ":status", "101", FieldKind.Malformed)]
    [InlineData("8441 4", ":protocol", "websocket", FieldKind.Protocol)]
    [InlineData("8441 4", ":protocol", "", FieldKind.Malformed)]
    [InlineData("9110 11.7", "proxy-authorization", "Basic x", FieldKind.ProxyAuthentication)]
    [InlineData("9110 11.7", "proxy-authenticate", "Basic", FieldKind.ProxyAuthentication)]
    [InlineData("9110 10.1.1", "expect", "100-continue", FieldKind.Expect)]
    public void A_field_is_classified(string section, string name, string value, FieldKind kind) =>
        Assert.Equal((section, kind), (section, HeaderFieldRules.Classify(Encoding.Latin1.GetBytes(name), Encoding.Latin1.GetBytes(value))));

    /// <summary>What is accepted here may be sent over HTTP/1, so its parser has to accept it as the same.</summary>
    [Fact]
    public void What_is_accepted_is_one_header_for_the_HTTP_1_parser()
    {
        for (var name = 0; name < 256; name++)
        {
            for (var value = 0; value < 256; value++)
            {
                byte[] fieldName = [(byte)'x', (byte)name, (byte)'y'];
                byte[] fieldValue = [(byte)'a', (byte)value, (byte)'b'];
                if (HeaderFieldRules.Classify(fieldName, fieldValue) == FieldKind.Malformed)
                {
                    continue;
                }

                byte[] request = [.. "GET / HTTP/1.1\r\nhost: a\r\n"u8, .. fieldName, .. ": "u8, .. fieldValue, .. "\r\n\r\n"u8];
                var head = new MessageHead();
                Assert.Equal(ParseError.None, HeadParser.ParseRequest(request, request.Length, head));
                Assert.Equal(fieldName, head.Headers[1].Name.Of(request).ToArray());
                Assert.Equal(fieldValue, head.Headers[1].Value.Of(request).ToArray());
                Assert.Equal(2, head.Headers.Count);
            }
        }
    }
}
