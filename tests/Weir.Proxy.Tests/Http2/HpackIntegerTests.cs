using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class HpackIntegerTests
{
    /// <summary>RFC 7541 appendix C.1 first.</summary>
    [Theory]
    [InlineData(10, 5, "0a")]
    [InlineData(1337, 5, "1f9a0a")]
    [InlineData(42, 8, "2a")]
    [InlineData(0, 4, "00")]
    [InlineData(30, 5, "1e")]
    [InlineData(31, 5, "1f00")]
    [InlineData(127, 7, "7f00")]
    [InlineData(254, 7, "7f7f")]
    [InlineData(255, 7, "7f8001")]
    [InlineData((1 << 28) - 1 + 15, 4, "0fffffff7f")]
    public void An_integer_is_written_and_read(int value, int prefix, string hex)
    {
        var target = new byte[HpackInteger.MaximumSize];
        var written = 0;

        Assert.True(HpackInteger.TryWrite(target, ref written, value, prefix, 0));

        Assert.Equal(hex, Convert.ToHexStringLower(target.AsSpan(0, written)));
        Assert.Equal(written, HpackInteger.Size(value, prefix));
        var at = 0;
        Assert.True(HpackInteger.TryRead(target.AsSpan(0, written), ref at, prefix, out var read));
        Assert.Equal((value, written), (read, at));
        for (var room = 0; room < written; room++)
        {
            var from = 0;
            Assert.False(HpackInteger.TryWrite(new byte[room], ref from, value, prefix, 0));
            Assert.Equal(0, from);
            Assert.False(HpackInteger.TryRead(target.AsSpan(0, room), ref from, prefix, out _));
        }
    }

    [Theory]
    [InlineData("", "nothing")]
    [InlineData("1f", "no continuation")]
    [InlineData("1f80", "an unfinished continuation")]
    [InlineData("1fffffffff7f", "more than 28 bits")]
    [InlineData("1fffffffffffffffffff7f", "more than 64 bits")]
    [InlineData("1f8080808000", "zeros without end")]
    public void What_is_too_long_or_ends_early_is_refused(string hex, string why)
    {
        var at = 0;
        Assert.False(HpackInteger.TryRead(Convert.FromHexString(hex), ref at, 5, out _), why);
    }
}
