using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Messages, and the compression of their heads, from a client; as <see cref="ConformanceCases"/>.</summary>
static class MessageCases
{
    const string Malformed = "stream 1 ProtocolError";
    const string Compression = "connection CompressionError";
    const string Ok = "answer 1 200";

    static readonly byte[] Block1 = Block(Request("GET", "/"));

    static byte[] With(params byte[] rest) => Frame(FrameType.Headers, FrameFlags.EndStream | FrameFlags.EndHeaders, 1, [.. Block1, .. rest]);

    static byte[] After(params byte[] first) => Frame(FrameType.Headers, FrameFlags.EndStream | FrameFlags.EndHeaders, 1, [.. first, .. Block1]);

    static ConformanceCase Bad(string rule, string name, params string[] fields) => new(rule, name, Malformed, Head(1, true, fields));

    static ConformanceCase Field(string rule, string field) => new(rule, field.Replace('\0', '0'), Malformed, Get(1, "/", field));

    public static readonly ConformanceCase[] Messages =
    [
        new("8.1", "a second HEADERS without an end", Malformed, Post(1), Data(1, "test"), Head(1, false, "x-test: ok")),
        new("8.1", "trailers with a pseudo-header", Malformed, Post(1), Data(1, "test"), Head(1, true, ":method: GET")),
        new("8.1", "trailers with upper case", Malformed, Post(1), Data(1, "test"), Head(1, true, "X-Test: ok")),
        new("8.1.1", "more content than was declared", Malformed, Post(1, "/hold", "content-length: 1"), Data(1, "test", ends: true)),
        new("8.1.1", "more content than was declared, in several frames", Malformed, Post(1, "/hold", "content-length: 5"), Data(1, "test"), Data(1, "test", ends: true)),
        new("8.1.1", "less content than was declared", Malformed, Post(1, "/hold", "content-length: 5"), Data(1, "test", ends: true)),
        new("8.1.1", "less content than was declared, then trailers", Malformed, Post(1, "/hold", "content-length: 5"), Data(1, "test"), Head(1, true, "x-test: ok")),
        new("8.1.1", "content declared, and none", Malformed, Get(1, "/hold", "content-length: 5")),
        Field("8.1.1", "content-length: -1"),
        Field("8.1.1", "content-length: 1, 1"),
        new("8.1.1", "content-length twice", Malformed, Post(1, "/hold", "content-length: 1", "content-length: 1")),
        Field("8.2.1", "X-Test: ok"),
        Field("8.2.1", "x test: ok"),
        Field("8.2.1", "x\0test: ok"),
        Field("8.2.1", "x-test: o\0k"),
        Field("8.2.1", "x-test: o\nk"),
        Field("8.2.1", "x-test: o\rk"),
        Field("8.2.1", "x-test:  ok"),
        Field("8.2.1", "x-test: ok "),
        Bad("8.2.1", "a field without a name", [.. Request("GET", "/"), ": x"]),
        new("8.2.1", "a field without a name first", Malformed, After(0, 0, 0)),
        Field("8.2.2", "connection: keep-alive"),
        Field("8.2.2", "keep-alive: timeout=5"),
        Field("8.2.2", "proxy-connection: close"),
        Field("8.2.2", "transfer-encoding: chunked"),
        Field("8.2.2", "upgrade: websocket"),
        Field("8.2.2", "te: trailers, deflate"),
        new("8.2.3", "cookies in several fields", Ok, Get(1, "/", "cookie: a=b", "cookie: c=d", "x: y", "cookie: e=f")),
        Bad("8.3", "an unknown pseudo-header", [.. Request("GET", "/"), ":test: ok"]),
        Bad("8.3", "a pseudo-header of answers", [.. Request("GET", "/"), ":status: 200"]),
        Bad("8.3", "a pseudo-header after a field", "x-test: ok", ":method: GET", ":scheme: http", ":path: /", ":authority: a"),
        Bad("8.3", ":method after a field", ":scheme: http", ":path: /", ":authority: a", "x-test: ok", ":method: GET"),
        Bad("8.3.1", "an empty :path", ":method: GET", ":scheme: http", ":path: ", ":authority: a"),
        Bad("8.3.1", "a :path that does not begin with a slash", ":method: GET", ":scheme: http", ":path: x", ":authority: a"),
        Bad("8.3.1", "a :path of * for GET", ":method: GET", ":scheme: http", ":path: *", ":authority: a"),
        Bad("8.3.1", "no :method", ":scheme: http", ":path: /", ":authority: a"),
        Bad("8.3.1", "no :scheme", ":method: GET", ":path: /", ":authority: a"),
        Bad("8.3.1", "no :path", ":method: GET", ":scheme: http", ":authority: a"),
        Bad("8.3.1", ":method twice", [":method: GET", .. Request("GET", "/")]),
        Bad("8.3.1", ":scheme twice", [":scheme: http", .. Request("GET", "/")]),
        Bad("8.3.1", ":path twice", [":path: /", .. Request("GET", "/")]),
        Bad("8.3.1", ":authority twice", [":authority: a", .. Request("GET", "/")]),
        Bad("8.3.1", "neither :authority nor Host", ":method: GET", ":scheme: http", ":path: /"),
        Bad("8.3.1", ":authority with user information", ":method: GET", ":scheme: http", ":path: /", ":authority: u@a"),
        Bad("8.3.1", "Host that says something else", [.. Request("GET", "/"), "host: b"]),
        Bad("8.3.1", "no fields at all"),
        Bad("8.5", "CONNECT with :path", ":method: CONNECT", ":path: /", ":authority: a:1"),
        Bad("8.5", "CONNECT with :scheme", ":method: CONNECT", ":scheme: http", ":authority: a:1"),
        Bad("8.5", "CONNECT without :authority", ":method: CONNECT"),
        Bad("8441 4", ":protocol that was not allowed", ":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: /", ":authority: a"),
        Bad("8441 4", ":protocol without CONNECT", [":protocol: websocket", .. Request("GET", "/")]),
        new("8.1.1", "one that is malformed does not end the others", "stream 1 ProtocolError, answer 3 200", Head(1, true, "X: y"), Get(3)),
        new("10.5.1", "more fields than are allowed", "answer 1 431", Get(1, "/", [.. Enumerable.Repeat("x: y", 101)])),
    ];

    public static readonly ConformanceCase[] Compressed =
    [
        new("7541 6.1", "an indexed field of the dynamic table", Ok, With([0x40, .. Text("x-a"), .. Text("b"), 0xbe])),
        new("7541 6.2.1", "with incremental indexing, indexed name", Ok, With([0x7a, .. Text("a")])),
        new("7541 6.2.1", "with incremental indexing, Huffman", Ok, With(0x7a, 0x84, 0x9c, 0x48, 0xac, 0xa4)),
        new("7541 6.2.1", "with incremental indexing, new name", Ok, With([0x40, .. Text("x-test"), .. Text("ok")])),
        new("7541 6.2.1", "with incremental indexing, new name, Huffman", Ok, With(0x40, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x9c, 0x48, 0xac, 0xa4)),
        new("7541 6.2.2", "without indexing, indexed name", Ok, With([0x0f, 0x2b, .. Text("a")])),
        new("7541 6.2.2", "without indexing, indexed name, Huffman", Ok, With(0x0f, 0x2b, 0x84, 0x9c, 0x48, 0xac, 0xa4)),
        new("7541 6.2.2", "without indexing, new name", Ok, With([0x00, .. Text("x-test"), .. Text("ok")])),
        new("7541 6.2.2", "without indexing, new name, Huffman", Ok, With(0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x9c, 0x48, 0xac, 0xa4)),
        new("7541 6.2.3", "never indexed, indexed name", Ok, With([0x1f, 0x2b, .. Text("a")])),
        new("7541 6.2.3", "never indexed, indexed name, Huffman", Ok, With(0x1f, 0x2b, 0x84, 0x9c, 0x48, 0xac, 0xa4)),
        new("7541 6.2.3", "never indexed, new name", Ok, With([0x10, .. Text("x-test"), .. Text("ok")])),
        new("7541 6.2.3", "never indexed, new name, Huffman", Ok, With(0x10, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x9c, 0x48, 0xac, 0xa4)),
        new("7541 6.3", "a table size update", Ok, After(0x20)),
        new("7541 4.2", "two table size updates", Ok, After(0x20, 0x3f, 0xe1, 0x1f)),
        new("7541 4.2", "three table size updates", Compression, After(0x20, 0x21, 0x22)),
        new("7541 4.2", "a table size update at the end of a block", Compression, With(0x21)),
        new("7541 6.3", "a table size update beyond the limit", Compression, After(0x3f, 0xe2, 0x1f)),
        new("7541 2.3.3", "an index beyond both tables", Compression, With(0xc6)),
        new("7541 2.3.3", "a name's index beyond both tables", Compression, With([0x7f, 0x07, .. Text("x")])),
        new("7541 6.1", "the index 0", Compression, With(0x80)),
        new("7541 5.1", "an integer without end", Compression, With(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)),
        new("7541 5.2", "Huffman padding of more than 7 bits", Compression, With(0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x85, 0x9c, 0x48, 0xac, 0xa4, 0xff)),
        new("7541 5.2", "Huffman padding of zeros", Compression, With(0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x83, 0x9c, 0x48, 0xa0)),
        new("7541 5.2", "the Huffman code EOS", Compression, With(0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0xff, 0xff, 0xff, 0xff)),
        new("7541 5.2", "a string longer than its block", Compression, With(0x00, 0x05, (byte)'x')),
        new("7541 6.2", "a name without a value", Compression, With([0x00, .. Text("x")])),
        new("4.3", "a block of a malformed message still fills the table", "stream 1 ProtocolError, answer 3 200",
            Frame(FrameType.Headers, FrameFlags.EndStream | FrameFlags.EndHeaders, 1, [.. Block("X: y"), 0x40, .. Text(":path"), .. Text("/")]),
            Frame(FrameType.Headers, FrameFlags.EndStream | FrameFlags.EndHeaders, 3, [0xbe, .. Block(":method: GET", ":scheme: http", ":authority: a")])),
    ];

    static byte[] Text(string text)
    {
        var block = new MemoryStream();
        Literal(block, text);
        return block.ToArray();
    }
}
