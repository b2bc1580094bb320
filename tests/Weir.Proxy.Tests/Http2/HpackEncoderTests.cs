using System.Text;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class HpackEncoderTests
{
    readonly HpackEncoder encoder = new();
    readonly HpackDecoder decoder = new();

    byte[] Write(string name, string value, bool neverIndexed = false)
    {
        var target = new byte[8192];
        Assert.True(encoder.TryWrite(Encoding.Latin1.GetBytes(name), Encoding.Latin1.GetBytes(value), target, out var written, neverIndexed));
        var block = target[..written];
        var field = Assert.Single(HpackText.Decode(decoder, block));
        Assert.Equal($"{name.ToLowerInvariant()}: {value}", field.Replace(" (never)", "", StringComparison.Ordinal));
        Assert.Equal(HpackText.Entries(encoder.Table), HpackText.Entries(decoder.Table));
        return block;
    }

    static HpackIndexing How(byte[] block) => (HpackIndexing)(block[0] >= 0x40 ? 0x40 : block[0] & 0xf0);

    [Fact]
    public void A_field_that_repeats_takes_one_octet()
    {
        Assert.Equal(HpackIndexing.Incremental, How(Write("User-Agent", "curl/8.0")));
        Assert.Equal([0xbe], Write("user-agent", "curl/8.0"));
        Assert.Equal([0xbe], Write("USER-AGENT", "curl/8.0"));
    }

    [Fact]
    public void Fields_of_the_static_table_take_one_octet()
    {
        Assert.Equal([0x82], Write(":method", "GET"));
        Assert.Equal([0x87], Write(":scheme", "https"));
        Assert.Equal([0x90], Write("Accept-Encoding", "gzip, deflate"));
        Assert.Equal([0x8d], Write(":status", "404"));
        Assert.Equal(0, encoder.Table.Count);
    }

    [Fact]
    public void A_value_that_never_repeats_is_inserted_once_for_its_name()
    {
        for (var i = 0; i < 300; i++)
        {
            var block = Write("X-Request-Id", $"{i * 7919:x8}-4f3c");
            Assert.Equal(i == 0 ? HpackIndexing.Incremental : HpackIndexing.Without, How(block));
            Assert.True(i == 0 || block[0] == 0x0f, "the name is not written again");
        }

        Assert.Equal(1, encoder.Table.Count);
    }

    [Fact]
    public void One_of_several_values_is_inserted_when_it_comes_again()
    {
        Write(":path", "/a.Service/One");

        Assert.Equal(HpackIndexing.Without, How(Write(":path", "/a.Service/Two")));
        Assert.Equal(HpackIndexing.Incremental, How(Write(":path", "/a.Service/Two")));
        Assert.Equal([0xbe], Write(":path", "/a.Service/Two"));
        Assert.Equal([0xbf], Write(":path", "/a.Service/One"));
    }

    [Fact]
    public void In_a_full_table_new_names_too_are_inserted_when_they_come_again()
    {
        for (var i = 0; encoder.Table.Size < 4000; i++)
        {
            Write($"x-name-{i}", new string('v', 20));
        }

        Assert.Equal(HpackIndexing.Without, How(Write("x-other", new string('w', 100))));
        Assert.Equal(HpackIndexing.Incremental, How(Write("x-other", new string('w', 100))));
        Assert.Equal([0xbe], Write("x-other", new string('w', 100)));
    }

    [Fact]
    public void A_field_of_more_than_half_the_table_drives_nothing_out()
    {
        Write("a", "b");
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(HpackIndexing.Without, How(Write("x-large", new string('v', 3000))));
        }

        Assert.Equal(1, encoder.Table.Count);
    }

    [Theory]
    [InlineData("authorization", "Bearer abcdefghijklmnopqrstuvwxyz")]
    [InlineData("Proxy-Authorization", "Basic YTpi")]
    [InlineData("cookie", "short=1")]
    [InlineData("Set-Cookie", "session=abcdefghijklmnopqrstuvwxyz; Secure")]
    public void Credentials_are_never_indexed(string name, string value)
    {
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(HpackIndexing.Never, How(Write(name, value)));
        }

        Assert.Equal(0, encoder.Table.Count);
    }

    [Fact]
    public void A_long_cookie_is_indexed()
    {
        Write("cookie", "session=abcdefghijklmnopqrstuvwxyz");
        Assert.Equal([0xbe], Write("cookie", "session=abcdefghijklmnopqrstuvwxyz"));
    }

    [Fact]
    public void What_came_as_never_indexed_goes_on_as_such_even_if_it_is_in_a_table()
    {
        Write("x-key", "secret");
        Assert.Equal(HpackIndexing.Never, How(Write("x-key", "secret", neverIndexed: true)));
        Assert.Equal(HpackIndexing.Never, How(Write(":method", "GET", neverIndexed: true)));
        Assert.Equal(HpackIndexing.Never, How(Write("x-new", "secret", neverIndexed: true)));
        Assert.Equal(1, encoder.Table.Count);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(128)]
    [InlineData(129)]
    [InlineData(1000)]
    public void Names_of_any_length_are_lowered(int length) => Write(new string('N', length), "v");

    [Fact]
    public void Odd_fields_are_written_as_they_are()
    {
        Write("", "");
        Write("a", "");
        Write("x", "\u00ff\u0080");
        Write(":unknown", "x");
    }

    [Fact]
    public void A_target_that_is_too_small_changes_nothing()
    {
        (string, string)[] fields = [("x-new", "value"), ("x-new", "value"), (":path", "/a?b"), ("x-large", new string('V', 300)), ("cookie", "a=b"), ("NAME", "\u0001")];
        encoder.SetMaximumTableSize(0);
        encoder.SetMaximumTableSize(200);
        foreach (var (name, value) in fields)
        {
            var (nameBytes, valueBytes) = (Encoding.Latin1.GetBytes(name), Encoding.Latin1.GetBytes(value));
            for (var room = 0; ; room++)
            {
                var before = HpackText.Entries(encoder.Table);
                var target = new byte[room];
                if (encoder.TryWrite(nameBytes, valueBytes, target, out var written))
                {
                    Assert.Equal(room, written);
                    Assert.Equal([$"{name.ToLowerInvariant()}: {value}"], HpackText.Decode(decoder, target).Select(f => f.Replace(" (never)", "", StringComparison.Ordinal)));
                    break;
                }

                Assert.Equal(0, written);
                Assert.Equal(before, HpackText.Entries(encoder.Table));
            }

            Assert.Equal(HpackText.Entries(encoder.Table), HpackText.Entries(decoder.Table));
        }
    }

    [Theory]
    [InlineData(new uint[] { 4096 }, "82")]
    [InlineData(new uint[] { uint.MaxValue }, "82")]
    [InlineData(new uint[] { 100 }, "3f45 82")]
    [InlineData(new uint[] { 0, 4096 }, "20 3fe11f 82")]
    [InlineData(new uint[] { 100, 50, 60 }, "3f13 3f1d 82")]
    [InlineData(new uint[] { 0 }, "20 82")]
    public void The_block_after_a_change_begins_with_what_it_changes(uint[] sizes, string hex)
    {
        foreach (var size in sizes)
        {
            encoder.SetMaximumTableSize(size);
        }

        Assert.Equal(HpackText.Bytes(hex), Write(":method", "GET"));
        Assert.Equal([0x82], Write(":method", "GET"));
    }

    [Fact]
    public void A_table_larger_than_the_default_is_used_once_the_peer_allows_it()
    {
        var large = new HpackEncoder(16 * 1024);
        var target = new byte[16];
        Assert.True(large.TryWrite(":method"u8, "GET"u8, target, out var written));
        Assert.Equal(1, written);

        large.SetMaximumTableSize(65536);

        Assert.True(large.TryWrite(":method"u8, "GET"u8, target, out written));
        Assert.Equal("3fe17f82", Convert.ToHexStringLower(target.AsSpan(0, written)));
    }

    [Fact]
    public void A_smaller_table_of_our_own_is_said_first()
    {
        var small = new HpackEncoder(0);
        var target = new byte[16];
        Assert.True(small.TryWrite("a"u8, "b"u8, target, out var written));
        Assert.Equal("200001610162", Convert.ToHexStringLower(target.AsSpan(0, written)));
    }
}
