using System.Text;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class HpackDecoderTests
{
    [Theory]
    [InlineData("80", "index 0")]
    [InlineData("be", "an index beyond both tables")]
    [InlineData("ff00", "a larger one")]
    [InlineData("ffffffffff7f", "an index that does not end")]
    [InlineData("ff", "an index cut off")]
    [InlineData("7e 01 61", "a name beyond both tables")]
    [InlineData("0f 2f 01 61", "the same without indexing")]
    [InlineData("1f 2f 01 61", "the same never indexed")]
    [InlineData("40", "no name")]
    [InlineData("40 01", "a name cut off")]
    [InlineData("40 01 61", "no value")]
    [InlineData("40 01 61 02 61", "a value cut off")]
    [InlineData("00 01 61 7f ff ff ff ff 7f", "a length beyond any block")]
    [InlineData("00 01 61 7f 80 80 80 80 00", "a length padded with zeros")]
    [InlineData("00 81 ff 01 61", "a name with eight bits of padding")]
    [InlineData("00 01 61 81 00", "a value with padding of zeros")]
    [InlineData("00 01 61 84 ff ff ff ff", "a value with EOS")]
    [InlineData("82 20", "a size update after a field")]
    [InlineData("20 82 20", "a second one after a field")]
    [InlineData("20 20 20", "three size updates")]
    [InlineData("3f e2 1f", "a table larger than allowed by one")]
    [InlineData("3f ff ff ff 7f", "a table far larger than allowed")]
    [InlineData("3f", "a size cut off")]
    public void A_block_is_malformed(string hex, string why)
    {
        HpackText.Decode(new HpackDecoder(), HpackText.Bytes(hex), out var end);
        Assert.True(end == HpackResult.Malformed, why);

        var at = 0;
        Assert.False(new HpackDecoder().TrySkipRest(HpackText.Bytes(hex), ref at), why);
    }

    [Fact]
    public void Every_entry_of_the_static_table_is_read()
    {
        var decoder = new HpackDecoder();
        var fields = HpackText.Decode(decoder, Enumerable.Range(1, 61).Select(i => (byte)(0x80 | i)).ToArray());

        Assert.Equal(61, fields.Count);
        Assert.Equal((":authority: ", ":method: POST", ":status: 500"), (fields[0], fields[2], fields[13]));
        Assert.Equal(("accept-encoding: gzip, deflate", "cookie: ", "www-authenticate: "), (fields[15], fields[31], fields[60]));
        Assert.Equal(0, decoder.Table.Footprint);
    }

    [Fact]
    public void An_empty_block_and_one_of_size_updates_alone_have_no_fields()
    {
        Assert.Empty(HpackText.Decode(new HpackDecoder(), []));
        Assert.Empty(HpackText.Decode(new HpackDecoder(), HpackText.Bytes("20 3fe11f")));
    }

    [Fact]
    public void A_name_may_belong_to_the_entry_that_its_own_insertion_evicts()
    {
        var decoder = new HpackDecoder();
        HpackText.Decode(decoder, HpackText.Bytes("3f11 4003 616161 0161"));
        Assert.Equal(["aaa: a"], HpackText.Entries(decoder.Table));

        Assert.Equal(["aaa: bbbb"], HpackText.Decode(decoder, HpackText.Bytes("7e 0462626262")));

        Assert.Equal(["aaa: bbbb"], HpackText.Entries(decoder.Table));
        var at = 0;
        Assert.Equal(HpackResult.Field, decoder.Skip(HpackText.Bytes("7e 0163"), ref at));
        Assert.Equal(["aaa: c"], HpackText.Entries(decoder.Table));
    }

    [Fact]
    public void An_entry_larger_than_the_table_empties_it()
    {
        foreach (var skip in new[] { false, true })
        {
            var decoder = new HpackDecoder();
            HpackText.Decode(decoder, HpackText.Bytes("3f09 4001610161"));
            Assert.Equal((1, 34), (decoder.Table.Count, decoder.Table.Size));
            var block = HpackText.Bytes("40 0162 08 6161616161616161");
            var at = 0;

            var result = skip ? decoder.Skip(block, ref at) : decoder.TryRead(block, ref at, new byte[100], out _);

            Assert.Equal((HpackResult.Field, block.Length), (result, at));
            Assert.Equal((0, 0), (decoder.Table.Count, decoder.Table.Size));
        }
    }

    [Fact]
    public void A_field_that_does_not_fit_changes_nothing_and_can_be_read_again_or_skipped()
    {
        var block = HpackText.Bytes("400a 6375 7374 6f6d 2d6b 6579 8925 a849 e95b b8e8 b4bf 82");
        for (var room = 0; room < 22; room++)
        {
            var decoder = new HpackDecoder();
            var at = 0;
            Assert.Equal(HpackResult.TargetTooSmall, decoder.TryRead(block, ref at, new byte[room], out _));
            Assert.Equal((0, 0), (at, decoder.Table.Count));

            Assert.Equal(HpackResult.Field, room % 2 == 0 ? decoder.Skip(block, ref at) : decoder.TryRead(block, ref at, new byte[22], out _));
            Assert.Equal(["custom-key: custom-value"], HpackText.Entries(decoder.Table));
            Assert.Equal(HpackResult.TargetTooSmall, decoder.TryRead(block, ref at, new byte[9], out _));
            Assert.Equal(HpackResult.Field, decoder.TryRead(block, ref at, new byte[10], out var method));
            Assert.Equal((7, 3, FieldKind.Method), (method.NameLength, method.ValueLength, method.Kind));
            Assert.Equal(HpackResult.End, decoder.TryRead(block, ref at, default, out _));
        }
    }

    [Fact]
    public void Kinds_come_with_fields_wherever_they_are_read_from()
    {
        var decoder = new HpackDecoder();
        var target = new byte[100];
        var kinds = new List<FieldKind>();
        foreach (var hex in new[] { "84", "400274650874 7261696c657273", "be", "4002746503677a69", "be", "0001410161", "b9", "5c0131", "be", "5c0161", "be", "0f0d0132" })
        {
            var at = 0;
            Assert.Equal(HpackResult.Field, decoder.TryRead(HpackText.Bytes(hex), ref at, target, out var field));
            kinds.Add(field.Kind);
        }

        Assert.Equal(
            [
                FieldKind.Path, FieldKind.Te, FieldKind.Te, FieldKind.Malformed, FieldKind.Malformed, FieldKind.Malformed, FieldKind.Malformed,
                FieldKind.ContentLength, FieldKind.ContentLength, FieldKind.Malformed, FieldKind.Malformed, FieldKind.ContentLength,
            ],
            kinds);
    }

    /// <summary>RFC 7541 section 4.2. Limits, as acknowledged before the block, and the block.</summary>
    [Theory]
    [InlineData(new[] { 100 }, "82", false, "the update is missing")]
    [InlineData(new[] { 100 }, "", false, "it is missing in an empty block too")]
    [InlineData(new[] { 100 }, "3f46 82", false, "larger than allowed: 101")]
    [InlineData(new[] { 100 }, "3f45 82", true, "exactly 100")]
    [InlineData(new[] { 100 }, "20 82", true, "less than allowed")]
    [InlineData(new[] { 100 }, "20 3f45 82", true, "to 0 and up again")]
    [InlineData(new[] { 0, 4096 }, "82", false, "it was lowered for a while")]
    [InlineData(new[] { 0, 4096 }, "3fe11f 82", false, "the lowest has to be signalled first")]
    [InlineData(new[] { 0, 4096 }, "20 3fe11f 82", true, "the lowest, then the last")]
    [InlineData(new[] { 0, 4096 }, "20 82", true, "the lowest, and no more wanted")]
    [InlineData(new[] { 8192 }, "82", true, "a higher limit need not be used")]
    [InlineData(new[] { 8192 }, "3fe13f 82", true, "a higher limit is used")]
    [InlineData(new[] { 8192 }, "3fe23f 82", false, "one more than the higher limit")]
    [InlineData(new[] { 8192, 100 }, "82", false, "raised and lowered")]
    [InlineData(new[] { 100, 4096 }, "3f45 3fe11f 82", true, "lowered and raised")]
    [InlineData(new int[0], "20 82", true, "of its own accord")]
    public void Size_updates_follow_the_limits(int[] limits, string hex, bool isRight, string why)
    {
        var decoder = new HpackDecoder(8192);
        foreach (var limit in limits)
        {
            decoder.SetLimit(limit);
        }

        HpackText.Decode(decoder, HpackText.Bytes(hex), out var end);

        Assert.True((end == HpackResult.End) == isRight, why);
        if (isRight)
        {
            HpackText.Decode(decoder, HpackText.Bytes("82"));
        }
    }

    [Fact]
    public void An_idle_table_costs_nothing_and_a_full_one_is_bounded()
    {
        var decoder = new HpackDecoder();
        Assert.Equal(0, decoder.Table.Footprint);
        var random = new Random(1);
        for (var i = 0; i < 20_000; i++)
        {
            var value = Encoding.ASCII.GetBytes(new string('v', random.Next(100)));
            HpackText.Decode(decoder, [0x40, 2, (byte)'a', (byte)random.Next('a', 'z'), (byte)value.Length, .. value]);
            Assert.InRange(decoder.Table.Size, 0, 4096);
        }

        Assert.InRange(decoder.Table.Footprint, 4096, 10 * 1024);
    }
}
