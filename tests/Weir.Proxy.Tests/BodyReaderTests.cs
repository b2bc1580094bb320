using System.Text;
using Weir.Proxy.Http1;

namespace Weir.Proxy.Tests;

public class BodyReaderTests
{
    [Theory]
    [InlineData("5\r\nhello\r\n0\r\n\r\n", "hello")]
    [InlineData("5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", "hello0123456789")]
    [InlineData("0\r\nX-Trailer: x\r\nOther: y\r\n\r\n", "")]
    [InlineData("001\r\na\r\n000\r\n\r\n", "a")]
    public void Any_split_into_reads_gives_the_same_content(string wire, string expected)
    {
        var bytes = Encoding.ASCII.GetBytes(wire + "NEXT");
        for (var size = 1; size <= bytes.Length; size++)
        {
            Assert.Equal((expected, wire.Length), ReadAll(bytes, size));
        }
    }

    [Theory]
    [InlineData("g\r\n")]
    [InlineData("\r\n")]
    [InlineData("5\nhello\r\n0\r\n\r\n")]
    [InlineData("5\r\nhelloX\r\n0\r\n\r\n")]
    [InlineData("5\r\nhello\n0\r\n\r\n")]
    [InlineData("5 \r\nhello\r\n0\r\n\r\n")]
    [InlineData("-1\r\n")]
    [InlineData("0x5\r\nhello\r\n0\r\n\r\n")]
    [InlineData("ffffffffffffffff\r\n")]
    [InlineData("5;\nhello\r\n0\r\n\r\n")]
    [InlineData("0\r\nTrailer\n\r\n")]
    [InlineData("0\r\n folded\r\n\r\n")]
    [InlineData("0\r\n\n")]
    public void Broken_chunks_are_seen(string wire)
    {
        var body = new BodyReader(BodyKind.Chunked, -1);

        body.Advance(Encoding.ASCII.GetBytes(wire));

        Assert.True(body.IsBroken);
        Assert.False(body.IsDone);
    }

    [Fact]
    public void A_length_is_taken_exactly()
    {
        var body = new BodyReader(BodyKind.Length, 5);

        Assert.Equal(3, body.Advance("abc"u8));
        Assert.Equal(2, body.Advance("deNEXT"u8));
        Assert.True(body.IsDone);
    }

    static (string Content, int Taken) ReadAll(byte[] bytes, int size)
    {
        var body = new BodyReader(BodyKind.Chunked, -1);
        var content = new StringBuilder();
        var at = 0;
        while (!body.IsDone && at < bytes.Length)
        {
            var window = bytes.AsSpan(at, Math.Min(size, bytes.Length - at));
            var taken = body.AdvanceContent(window, out var slice);
            content.Append(Encoding.ASCII.GetString(slice.Of(window)));
            Assert.False(body.IsBroken);
            at += taken;
        }

        return (content.ToString(), at);
    }
}
