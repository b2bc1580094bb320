using Weir.Xds.Http2;

namespace Weir.Xds.Tests.Http2;

public sealed class HeaderBlockDecoderTests
{
    [Theory]
    [InlineData("88", ":status=200")]
    [InlineData("8d", ":status=404")]
    // RFC 7541 C.6.1, with the dynamic table's entries as literals: 302, "private", a date, a location.
    [InlineData("488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        ":status=302|cache-control=private|date=Mon, 21 Oct 2013 20:13:21 GMT|location=https://www.example.com")]
    [InlineData("20880f0d0130", ":status=200|content-length=0")]
    [InlineData("3fe11f88", ":status=200")]
    [InlineData("000b677270632d7374617475730130", "grpc-status=0")]
    [InlineData("400b677270632d737461747573023132", "grpc-status=12")]
    [InlineData("", "")]
    public void Reads_what_a_peer_without_a_dynamic_table_sends(string hex, string fields) =>
        Assert.Equal(fields, string.Join('|', HeaderBlockDecoder.Decode(Convert.FromHexString(hex)).Select(f => $"{f.Name}={f.Value}")));

    [Theory]
    [InlineData("80")] // index 0
    [InlineData("be")] // the dynamic table
    [InlineData("ff")] // a number that is cut off
    [InlineData("ffffffffffffff7f")] // a number without end
    [InlineData("48")] // a literal without value
    [InlineData("4883aabb")] // a text that is cut off
    [InlineData("4884ffffffff")] // the end of string, coded
    [InlineData("48820000")] // padding that is not ones
    public void Refuses_what_is_malformed(string hex) =>
        Assert.Throws<InvalidDataException>(() => HeaderBlockDecoder.Decode(Convert.FromHexString(hex)));

    /// <summary>One octet of an index stands for a field that is many times as long.</summary>
    [Fact]
    public void Refuses_a_block_that_grows_beyond_its_bound() =>
        Assert.Throws<InvalidDataException>(() => HeaderBlockDecoder.Decode(Enumerable.Repeat((byte)0x90, 16_384).ToArray()));

    [Fact]
    public void Any_octets_are_read_or_refused()
    {
        var random = new Random(20261124);
        for (var i = 0; i < 20_000; i++)
        {
            var block = new byte[random.Next(64)];
            random.NextBytes(block);
            try
            {
                HeaderBlockDecoder.Decode(block);
            }
            catch (InvalidDataException)
            {
                // The only way to fail.
            }
        }
    }
}
