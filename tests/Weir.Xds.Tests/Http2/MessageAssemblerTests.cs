using Weir.Xds.Http2;

namespace Weir.Xds.Tests.Http2;

public sealed class MessageAssemblerTests
{
    static byte[] Framed(byte[] message) => [0, (byte)(message.Length >> 24), (byte)(message.Length >> 16), (byte)(message.Length >> 8), (byte)message.Length, .. message];

    [Fact]
    public void Messages_are_the_same_however_they_are_cut()
    {
        var random = new Random(5);
        var messages = new[] { 0, 1, 5, 300, 70_000, 0, 200_000 }.Select(n => Enumerable.Range(0, n).Select(i => (byte)i).ToArray()).ToList();
        var stream = messages.SelectMany(Framed).ToArray();
        for (var round = 0; round < 50; round++)
        {
            var assembler = new MessageAssembler();
            var read = new List<byte[]>();
            for (var at = 0; at < stream.Length;)
            {
                var size = Math.Min(random.Next(1, round < 25 ? 20_000 : 7 + (round * 100)), stream.Length - at);
                ReadOnlySpan<byte> piece = stream.AsSpan(at, size);
                while (piece.Length > 0 && assembler.Add(ref piece) is { } message)
                {
                    read.Add(message);
                }

                at += size;
            }

            Assert.False(assembler.IsPartial);
            Assert.Equal(messages, read);
        }
    }

    [Theory]
    [InlineData("0100000000")]
    [InlineData("00ffffffff")]
    [InlineData("0004000001")]
    public void Refuses_a_message_that_is_compressed_or_too_large(string hex) => Assert.Throws<InvalidDataException>(() =>
    {
        ReadOnlySpan<byte> data = Convert.FromHexString(hex);
        new MessageAssembler().Add(ref data);
    });
}
