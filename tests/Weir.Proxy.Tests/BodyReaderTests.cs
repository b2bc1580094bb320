using System.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;

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
        var trailers = new TrailerReader(new BufferPool());
        ReadOnlySpan<byte> left = Encoding.ASCII.GetBytes(wire);

        ReadStatus status;
        while ((status = body.Read(left, out var framing, out var content, ref trailers)) == ReadStatus.Content)
        {
            body.Consume(content);
            left = left[(framing + content)..];
        }

        Assert.Equal(ReadStatus.Failed, status);
        Assert.False(body.IsDone);
    }

    [Fact]
    public void A_length_is_taken_exactly()
    {
        var body = new BodyReader(BodyKind.Length, 5);

        var trailers = default(TrailerReader);
        Assert.Equal(ReadStatus.Content, body.Read("abc"u8, out _, out var first, ref trailers));
        body.Consume(first);
        Assert.Equal(ReadStatus.Content, body.Read("deNEXT"u8, out _, out var second, ref trailers));
        body.Consume(second);

        Assert.Equal((3, 2), (first, second));
        Assert.Equal(ReadStatus.End, body.Read("NEXT"u8, out _, out _, ref trailers));
    }

    [Fact]
    public void Trailers_are_read_and_those_of_framing_discarded()
    {
        var trailers = new TrailerReader(new BufferPool());
        var body = new BodyReader(BodyKind.Chunked, -1);
        var wire = "0\r\nContent-Length: 5\r\nX-Sum: 1 2\r\nHost: other\r\nTransfer-Encoding: chunked\r\n\r\nNEXT"u8;

        Assert.Equal(ReadStatus.End, body.Read(wire, out var framing, out _, ref trailers));

        Assert.Equal(wire.Length - 4, framing);
        Assert.Equal(1, trailers.Fields!.Fields.Count);
        Assert.True(trailers.Fields.TryGet("x-sum"u8, out var value));
        Assert.Equal("1 2", Encoding.ASCII.GetString(value));
    }

    static (string Content, int Taken) ReadAll(byte[] bytes, int size)
    {
        var body = new BodyReader(BodyKind.Chunked, -1);
        var trailers = new TrailerReader(new BufferPool());
        var text = new StringBuilder();
        var (start, end) = (0, 0);
        while (true)
        {
            var status = body.Read(bytes.AsSpan(start, end - start), out var framing, out var content, ref trailers);
            start += framing;
            switch (status)
            {
                case ReadStatus.Content:
                    text.Append(Encoding.ASCII.GetString(bytes, start, content));
                    body.Consume(content);
                    start += content;
                    break;
                case ReadStatus.Wait:
                    Assert.True(end < bytes.Length);
                    end = Math.Min(end + size, bytes.Length);
                    break;
                default:
                    Assert.Equal(ReadStatus.End, status);
                    return (text.ToString(), start);
            }
        }
    }
}
