using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class Http2SettingsTests
{
    [Fact]
    public void The_initial_values_are_those_of_the_specification()
    {
        var settings = new Http2Settings();
        Assert.Equal((4096u, true, uint.MaxValue), (settings.HeaderTableSize, settings.EnablePush, settings.MaxConcurrentStreams));
        Assert.Equal((65_535, 16_384, uint.MaxValue), (settings.InitialWindowSize, settings.MaxFrameSize, settings.MaxHeaderListSize));
        Assert.False(settings.EnableConnectProtocol);
    }

    /// <summary>RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1.</summary>
    [Theory]
    [InlineData(0x1, uint.MaxValue, false, Http2ErrorCode.NoError)]
    [InlineData(0x2, 0u, false, Http2ErrorCode.NoError)]
    [InlineData(0x2, 1u, false, Http2ErrorCode.NoError)]
    [InlineData(0x2, 2u, false, Http2ErrorCode.ProtocolError)]
    [InlineData(0x2, 0u, true, Http2ErrorCode.NoError)]
    [InlineData(0x2, 1u, true, Http2ErrorCode.ProtocolError)]
    [InlineData(0x3, 0u, false, Http2ErrorCode.NoError)]
    [InlineData(0x4, 0u, false, Http2ErrorCode.NoError)]
    [InlineData(0x4, 0x7fff_ffffu, false, Http2ErrorCode.NoError)]
    [InlineData(0x4, 0x8000_0000u, false, Http2ErrorCode.FlowControlError)]
    [InlineData(0x5, 16_383u, false, Http2ErrorCode.ProtocolError)]
    [InlineData(0x5, 16_384u, false, Http2ErrorCode.NoError)]
    [InlineData(0x5, 16_777_215u, false, Http2ErrorCode.NoError)]
    [InlineData(0x5, 16_777_216u, false, Http2ErrorCode.ProtocolError)]
    [InlineData(0x6, 0u, false, Http2ErrorCode.NoError)]
    [InlineData(0x8, 0u, true, Http2ErrorCode.NoError)]
    [InlineData(0x8, 1u, true, Http2ErrorCode.NoError)]
    [InlineData(0x8, 2u, true, Http2ErrorCode.ProtocolError)]
    [InlineData(0x9, 1u, true, Http2ErrorCode.NoError)]
    [InlineData(0x9, 2u, true, Http2ErrorCode.ProtocolError)]
    [InlineData(0x7, 77u, false, Http2ErrorCode.NoError)]
    [InlineData(0xffff, 77u, false, Http2ErrorCode.NoError)]
    public void Values_are_validated(int id, uint value, bool fromServer, Http2ErrorCode expected)
    {
        var settings = new Http2Settings();
        var payload = new byte[Http2Settings.EntrySize];
        Http2Settings.Write(payload, (SettingId)id, value);

        Assert.Equal(expected, settings.ApplyAll(payload, fromServer));
    }

    [Fact]
    public void Settings_of_one_frame_apply_in_order_and_the_first_error_ends_it()
    {
        var settings = new Http2Settings();

        Assert.Equal(Http2ErrorCode.NoError, settings.ApplyAll(HpackText.Bytes("0004 00000001 0004 00000002 0003 00000064 0001 00000000 0006 00002000"), false));
        Assert.Equal((2, 100u, 0u, 8192u), (settings.InitialWindowSize, settings.MaxConcurrentStreams, settings.HeaderTableSize, settings.MaxHeaderListSize));
        Assert.Equal(Http2ErrorCode.ProtocolError, settings.ApplyAll(HpackText.Bytes("0005 00000001 0003 00000001"), false));
        Assert.Equal(100u, settings.MaxConcurrentStreams);
        Assert.Equal(Http2ErrorCode.FrameSizeError, settings.ApplyAll(HpackText.Bytes("0005 0000"), false));
    }

    [Fact]
    public void Extended_CONNECT_is_not_taken_back()
    {
        var settings = new Http2Settings();
        Assert.Equal(Http2ErrorCode.NoError, settings.Apply(SettingId.EnableConnectProtocol, 1, true));
        Assert.Equal(Http2ErrorCode.NoError, settings.Apply(SettingId.EnableConnectProtocol, 1, true));
        Assert.Equal(Http2ErrorCode.ProtocolError, settings.Apply(SettingId.EnableConnectProtocol, 0, true));
        Assert.True(settings.EnableConnectProtocol);
    }
}
