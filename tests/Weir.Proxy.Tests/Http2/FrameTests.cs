using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class FrameTests
{
    [Theory]
    [InlineData("000000 04 00 00000000", 0, FrameType.Settings, FrameFlags.None, 0)]
    [InlineData("004000 00 01 00000003", 16384, FrameType.Data, FrameFlags.EndStream, 3)]
    [InlineData("ffffff fe ff 7fffffff", 0xffffff, (FrameType)0xfe, (FrameFlags)0xff, int.MaxValue)]
    public void A_header_is_written_and_read(string hex, int length, FrameType type, FrameFlags flags, int stream)
    {
        var header = new FrameHeader(length, type, flags, stream);
        var target = new byte[FrameHeader.Size];

        header.Write(target);

        Assert.Equal(HpackText.Bytes(hex), target);
        Assert.True(FrameHeader.TryRead(target, out var read));
        Assert.Equal(header, read);
        Assert.False(FrameHeader.TryRead(target.AsSpan(0, FrameHeader.Size - 1), out _));
    }

    [Fact]
    public void The_reserved_bit_is_ignored()
    {
        Assert.True(FrameHeader.TryRead(HpackText.Bytes("000000 00 00 80000001"), out var header));
        Assert.Equal(1, header.StreamId);
    }

    const FrameErrorScope Fine = FrameErrorScope.None;
    const FrameErrorScope Stream = FrameErrorScope.Stream;
    const FrameErrorScope Connection = FrameErrorScope.Connection;

    /// <summary>Length, type, flags, stream, the stream of an open field block, and what is to be done. All are the same on both sides.</summary>
    [Theory]
    [InlineData("4.2", 16384, 0x0, 0x0, 1, 0, Fine, 0)]
    [InlineData("4.2", 16385, 0x0, 0x0, 1, 0, Connection, 0x6)]
    [InlineData("4.2", 16385, 0x1, 0x4, 1, 0, Connection, 0x6)]
    [InlineData("4.2", 16385, 0xee, 0x0, 0, 0, Connection, 0x6)]
    [InlineData("4.3", 4, 0x9, 0x4, 1, 1, Fine, 0)]
    [InlineData("4.3", 4, 0x9, 0x4, 3, 1, Connection, 0x1)]
    [InlineData("4.3", 4, 0x0, 0x0, 1, 1, Connection, 0x1)]
    [InlineData("4.3", 4, 0x1, 0x4, 3, 1, Connection, 0x1)]
    [InlineData("4.3", 8, 0x6, 0x0, 0, 1, Connection, 0x1)]
    [InlineData("5.5", 8, 0xee, 0x0, 0, 1, Connection, 0x1)]
    [InlineData("5.5", 8, 0xee, 0xff, 0, 0, Fine, 0)]
    [InlineData("5.5", 8, 0xee, 0xff, 1, 0, Fine, 0)]
    [InlineData("5.1.1", 4, 0x1, 0x4, 2, 0, Connection, 0x1)]
    [InlineData("5.1", 4, 0x0, 0x0, 2, 0, Connection, 0x1)]
    [InlineData("5.1", 4, 0x3, 0x0, 2, 0, Connection, 0x1)]
    [InlineData("5.1", 4, 0x8, 0x0, 2, 0, Connection, 0x1)]
    [InlineData("5.1", 5, 0x2, 0x0, 2, 0, Fine, 0)]
    [InlineData("6.1", 0, 0x0, 0x1, 1, 0, Fine, 0)]
    [InlineData("6.1", 4, 0x0, 0x0, 0, 0, Connection, 0x1)]
    [InlineData("6.1", 0, 0x0, 0x8, 1, 0, Connection, 0x6)]
    [InlineData("6.2", 4, 0x1, 0x5, 1, 0, Fine, 0)]
    [InlineData("6.2", 4, 0x1, 0x4, 0, 0, Connection, 0x1)]
    [InlineData("6.2", 4, 0x1, 0x24, 1, 0, Connection, 0x6)]
    [InlineData("6.2", 5, 0x1, 0x24, 1, 0, Fine, 0)]
    [InlineData("6.2", 5, 0x1, 0x2c, 1, 0, Connection, 0x6)]
    [InlineData("6.2", 6, 0x1, 0x2c, 1, 0, Fine, 0)]
    [InlineData("6.3", 5, 0x2, 0x0, 1, 0, Fine, 0)]
    [InlineData("6.3", 5, 0x2, 0x0, 0, 0, Connection, 0x1)]
    [InlineData("6.3", 4, 0x2, 0x0, 1, 0, Stream, 0x6)]
    [InlineData("6.3", 6, 0x2, 0x0, 1, 0, Stream, 0x6)]
    [InlineData("6.4", 4, 0x3, 0x0, 1, 0, Fine, 0)]
    [InlineData("6.4", 4, 0x3, 0x0, 0, 0, Connection, 0x1)]
    [InlineData("6.4", 3, 0x3, 0x0, 1, 0, Connection, 0x6)]
    [InlineData("6.4", 5, 0x3, 0x0, 1, 0, Connection, 0x6)]
    [InlineData("6.5", 0, 0x4, 0x0, 0, 0, Fine, 0)]
    [InlineData("6.5", 12, 0x4, 0x0, 0, 0, Fine, 0)]
    [InlineData("6.5", 0, 0x4, 0x1, 0, 0, Fine, 0)]
    [InlineData("6.5", 6, 0x4, 0x1, 0, 0, Connection, 0x6)]
    [InlineData("6.5", 7, 0x4, 0x0, 0, 0, Connection, 0x6)]
    [InlineData("6.5", 6, 0x4, 0x0, 1, 0, Connection, 0x1)]
    [InlineData("6.6", 8, 0x5, 0x4, 1, 0, Connection, 0x1)]
    [InlineData("6.7", 8, 0x6, 0x0, 0, 0, Fine, 0)]
    [InlineData("6.7", 8, 0x6, 0x1, 0, 0, Fine, 0)]
    [InlineData("6.7", 8, 0x6, 0x0, 1, 0, Connection, 0x1)]
    [InlineData("6.7", 7, 0x6, 0x0, 0, 0, Connection, 0x6)]
    [InlineData("6.7", 9, 0x6, 0x0, 0, 0, Connection, 0x6)]
    [InlineData("6.8", 8, 0x7, 0x0, 0, 0, Fine, 0)]
    [InlineData("6.8", 30, 0x7, 0x0, 0, 0, Fine, 0)]
    [InlineData("6.8", 7, 0x7, 0x0, 0, 0, Connection, 0x6)]
    [InlineData("6.8", 8, 0x7, 0x0, 1, 0, Connection, 0x1)]
    [InlineData("6.9", 4, 0x8, 0x0, 0, 0, Fine, 0)]
    [InlineData("6.9", 4, 0x8, 0x0, 1, 0, Fine, 0)]
    [InlineData("6.9", 3, 0x8, 0x0, 0, 0, Connection, 0x6)]
    [InlineData("6.9", 5, 0x8, 0x0, 1, 0, Connection, 0x6)]
    [InlineData("6.10", 4, 0x9, 0x4, 1, 0, Connection, 0x1)]
    [InlineData("6.10", 4, 0x9, 0x4, 0, 0, Connection, 0x1)]
    public void Fixed_rules(string section, int length, int type, int flags, int stream, int openBlock, FrameErrorScope scope, int code)
    {
        var frame = new FrameHeader(length, (FrameType)type, (FrameFlags)flags, stream);
        foreach (var isServer in new[] { true, false })
        {
            var verdict = FrameRules.Check(frame, new FrameContext(isServer, FrameHeader.DefaultMaximumLength, openBlock, IsFirst: false));
            Assert.Equal((section, new FrameVerdict(scope, (Http2ErrorCode)code)), (section, verdict));
        }
    }

    [Theory]
    [InlineData(FrameType.Settings, FrameFlags.None, true)]
    [InlineData(FrameType.Settings, FrameFlags.Ack, false)]
    [InlineData(FrameType.Ping, FrameFlags.None, false)]
    [InlineData(FrameType.WindowUpdate, FrameFlags.None, false)]
    [InlineData((FrameType)0xee, FrameFlags.None, false)]
    public void The_first_frame_is_SETTINGS(FrameType type, FrameFlags flags, bool isFine)
    {
        var verdict = FrameRules.Check(new FrameHeader(0, type, flags, 0), new FrameContext(true, FrameHeader.DefaultMaximumLength, 0, IsFirst: true));
        Assert.Equal(isFine ? default : new FrameVerdict(Connection, Http2ErrorCode.ProtocolError), verdict);
    }

    [Theory]
    [InlineData(FrameType.Data, 0x0, "616263", "616263")]
    [InlineData(FrameType.Data, 0x8, "02 616263 0000", "616263")]
    [InlineData(FrameType.Data, 0x8, "00 616263", "616263")]
    [InlineData(FrameType.Data, 0x8, "02 0000", "")]
    [InlineData(FrameType.Data, 0x8, "03 0000", null)]
    [InlineData(FrameType.Data, 0x8, "01", null)]
    [InlineData(FrameType.Data, 0x8, "00", "")]
    [InlineData(FrameType.Data, 0x8, "", null)]
    [InlineData(FrameType.Data, 0x28, "00 616263", "616263")]
    [InlineData(FrameType.Headers, 0x4, "8284", "8284")]
    [InlineData(FrameType.Headers, 0x24, "00000000 10 8284", "8284")]
    [InlineData(FrameType.Headers, 0x24, "00000000", null)]
    [InlineData(FrameType.Headers, 0x2c, "01 80000003 ff 8284 00", "8284")]
    [InlineData(FrameType.Headers, 0x2c, "03 80000003 ff 8284", null)]
    [InlineData(FrameType.Headers, 0x2c, "02 80000003 ff 8284", "")]
    public void Padding_and_priority_are_taken_off(FrameType type, int flags, string payload, string? content)
    {
        var bytes = HpackText.Bytes(payload);

        var isRight = FramePayload.TryUnpad(new FrameHeader(bytes.Length, type, (FrameFlags)flags, 1), bytes, out var rest);

        Assert.Equal(content, isRight ? Convert.ToHexStringLower(rest) : null);
    }

    [Fact]
    public void Payloads_are_read_without_their_reserved_bits()
    {
        Assert.Equal(0, FramePayload.ReadIncrement(HpackText.Bytes("80000000")));
        Assert.Equal(int.MaxValue, FramePayload.ReadIncrement(HpackText.Bytes("ffffffff")));
        Assert.Equal(Http2ErrorCode.Cancel, FramePayload.ReadErrorCode(HpackText.Bytes("00000008")));
        Assert.Equal((5, (Http2ErrorCode)0xff), FramePayload.ReadGoAway(HpackText.Bytes("80000005 000000ff 6e6f")));
    }
}
