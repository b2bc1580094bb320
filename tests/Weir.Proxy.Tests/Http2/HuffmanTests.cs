using System.Text;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class HuffmanTests
{
    [Fact]
    public void Every_symbol_and_every_pair_of_symbols_is_decoded_as_it_was_encoded()
    {
        var encoded = new byte[16];
        var decoded = new byte[4];
        for (var first = 0; first < 256; first++)
        {
            for (var second = -1; second < 256; second++)
            {
                byte[] text = second < 0 ? [(byte)first] : [(byte)first, (byte)second];

                var length = Huffman.Encode(text, encoded);

                Assert.Equal(Huffman.EncodedLength(text), length);
                Assert.Equal(text.Length, Huffman.DecodedLength(encoded.AsSpan(0, length)));
                Assert.Equal(text.Length, Huffman.Decode(encoded.AsSpan(0, length), decoded));
                Assert.Equal(text, decoded.AsSpan(0, text.Length).ToArray());
            }
        }
    }

    /// <summary>Codes of RFC 7541 appendix B, of each length.</summary>
    [Theory]
    [InlineData('0', 0x0, 5)]
    [InlineData('t', 0x9, 5)]
    [InlineData(' ', 0x14, 6)]
    [InlineData('u', 0x2d, 6)]
    [InlineData(':', 0x5c, 7)]
    [InlineData('z', 0x7b, 7)]
    [InlineData('&', 0xf8, 8)]
    [InlineData('Z', 0xfd, 8)]
    [InlineData('?', 0x3fc, 10)]
    [InlineData('|', 0x7fc, 11)]
    [InlineData('>', 0xffb, 12)]
    [InlineData('~', 0x1ffd, 13)]
    [InlineData('}', 0x3ffd, 14)]
    [InlineData('{', 0x7ffe, 15)]
    [InlineData('\\', 0x7fff0, 19)]
    [InlineData(128, 0xfffe6, 20)]
    [InlineData(153, 0x1fffdc, 21)]
    [InlineData(129, 0x3fffd2, 22)]
    [InlineData(1, 0x7fffd8, 23)]
    [InlineData(9, 0xffffea, 24)]
    [InlineData(199, 0x1ffffec, 25)]
    [InlineData(192, 0x3ffffe0, 26)]
    [InlineData(203, 0x7ffffde, 27)]
    [InlineData(127, 0xffffffc, 28)]
    [InlineData(22, 0x3ffffffe, 30)]
    public void A_symbol_has_the_code_of_the_specification(int symbol, int code, int bits)
    {
        var target = new byte[8];

        var length = Huffman.Encode([(byte)symbol], target);

        var padded = ((ulong)code << ((length * 8) - bits)) | ((1UL << ((length * 8) - bits)) - 1);
        Assert.Equal((bits + 7) / 8, length);
        Assert.Equal(padded, target.Take(length).Aggregate(0UL, (sum, b) => (sum << 8) | b));
    }

    [Fact]
    public void Random_strings_come_back_and_a_target_that_is_too_short_is_said_to_be()
    {
        var random = new Random(7541);
        for (var i = 0; i < 5000; i++)
        {
            var text = new byte[random.Next(100)];
            for (var n = 0; n < text.Length; n++)
            {
                text[n] = (byte)(random.Next(4) == 0 ? random.Next(256) : random.Next(32, 127));
            }

            var encoded = new byte[Huffman.EncodedLength(text)];
            Assert.Equal(encoded.Length, Huffman.Encode(text, encoded));
            var decoded = new byte[text.Length];
            Assert.Equal(text.Length, Huffman.Decode(encoded, decoded));
            Assert.Equal(text, decoded);
            if (text.Length > 0)
            {
                Assert.Equal(Huffman.TargetTooSmall, Huffman.Decode(encoded, decoded.AsSpan(0, random.Next(text.Length))));
            }
        }
    }

    [Theory]
    [InlineData("ff", "eight bits of padding and nothing else")]
    [InlineData("1fff", "a byte of padding too much")]
    [InlineData("1fffff", "two bytes of padding too much")]
    [InlineData("1fffffff", "three bytes of padding too much")]
    [InlineData("00", "padding of zeros, '0' and three bits")]
    [InlineData("1e", "the last bit of the padding is not one")]
    [InlineData("18", "the padding's last three bits are zeros")]
    [InlineData("ffffffff", "EOS and padding")]
    [InlineData("fffffffc", "EOS with padding of zeros")]
    [InlineData("fffffffffc", "EOS and a symbol")]
    [InlineData("1fffffffff", "a symbol and EOS")]
    [InlineData("fffffff0", "a code that ends in the middle")]
    [InlineData("f8ff", "a symbol of eight bits, then a byte of padding")]
    public void Bad_padding_and_end_of_string_are_malformed(string hex, string why)
    {
        Assert.True(Huffman.Decode(Convert.FromHexString(hex), new byte[64]) == Huffman.Malformed, why);
        Assert.True(Huffman.DecodedLength(Convert.FromHexString(hex)) == Huffman.Malformed, why);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("1f", "a")]
    [InlineData("f8", "&")]
    [InlineData("0001", "000")]
    [InlineData("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com")]
    public void Padding_of_up_to_seven_ones_is_right(string hex, string text)
    {
        var target = new byte[64];

        var length = Huffman.Decode(Convert.FromHexString(hex), target);

        Assert.Equal(text, Encoding.ASCII.GetString(target, 0, length));
    }

    [Fact]
    public void The_tables_are_small() =>
        Assert.True((HuffmanCode.Pairs.Length + HuffmanCode.Codes.Length) * 4 < 12 * 1024);
}
