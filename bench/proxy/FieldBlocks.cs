using System.Text;

namespace Weir.Proxy.Bench;

/// <summary>Field blocks made once, by indices of HPACK's static table and literals without Huffman (RFC 7541 appendix A).</summary>
static class FieldBlocks
{
    const byte Post = 0x83, SchemeHttp = 0x86, Status200 = 0x88;
    const int Authority = 1, Path = 4, ContentLength = 28, ContentType = 31, Server = 54;

    public static readonly byte[] Answer = [Status200, .. Literal(Server, "bench"), .. Literal(ContentType, "text/plain"), .. Literal(ContentLength, "1024")];
    public static readonly byte[] GrpcCall =
        [Post, SchemeHttp, .. Literal(Path, "/bench.Echo/Stream"), .. Literal(Authority, "bench"), .. Literal(ContentType, "application/grpc"), .. Literal("te", "trailers")];
    public static readonly byte[] GrpcAnswer = [Status200, .. Literal(ContentType, "application/grpc")];
    public static readonly byte[] GrpcTrailers = [.. Literal("grpc-status", "0")];

    // Section 6.2.2: four bits of the name's index, the rest in the next octet.
    static byte[] Literal(int name, string value) => [.. name < 15 ? new[] { (byte)name } : [0x0f, (byte)(name - 15)], .. Text(value)];

    static byte[] Literal(string name, string value) => [0, .. Text(name), .. Text(value)];

    static byte[] Text(string value) => [(byte)value.Length, .. Encoding.ASCII.GetBytes(value)];
}
