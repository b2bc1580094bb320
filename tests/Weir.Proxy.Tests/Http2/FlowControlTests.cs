using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.ConformanceTests;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>RFC 9113 sections 5.2 and 6.9, in both directions.</summary>
public class FlowControlTests
{
    static async Task<int> DataLengthAsync(RawPeer peer, int id) => (await peer.ReadUntilAsync(FrameType.Data, id)).Header.Length;

    /// <summary>Nothing has come on the stream when PING is answered.</summary>
    static async Task AssertQuietAsync(RawPeer peer, int id)
    {
        await peer.SendAsync(Ping());
        Assert.NotEqual((FrameType.Data, id), await FirstAsync(peer, id));
    }

    static async Task<(FrameType Type, int Id)> FirstAsync(RawPeer peer, int id)
    {
        var frame = await peer.ReadUntilAsync(f => f is { Type: FrameType.Ping, Header.IsAck: true } || (f.Type == FrameType.Data && f.Stream == id));
        return (frame.Type, frame.Stream);
    }

    [Fact]
    public async Task A_window_of_one_byte_is_kept_to()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy, (SettingId.InitialWindowSize, 1));

        await peer.SendAsync(Get(1));

        Assert.Equal(1, await DataLengthAsync(peer, 1));
        await peer.SendAsync(WindowUpdate(1, 1));
        Assert.Equal(1, await DataLengthAsync(peer, 1));
        await peer.SendAsync(WindowUpdate(1, 100));
        Assert.Equal(3, await DataLengthAsync(peer, 1));
    }

    [Fact]
    public async Task Settings_open_the_windows_of_streams_that_are_there()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy, (SettingId.InitialWindowSize, 0));
        await peer.SendAsync(Get(1));
        await AssertQuietAsync(peer, 1);

        await peer.SendAsync(Settings((SettingId.InitialWindowSize, 1)));

        Assert.Equal(1, await DataLengthAsync(peer, 1));
    }

    [Fact]
    public async Task A_window_made_negative_by_settings_is_made_up_for_first()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy, (SettingId.InitialWindowSize, 3));
        await peer.SendAsync(Get(1));
        Assert.Equal(3, await DataLengthAsync(peer, 1));

        // -1 by this, 0 by the first update, 1 by the second.
        await peer.SendAsync(Settings((SettingId.InitialWindowSize, 2)), WindowUpdate(1, 1));
        await AssertQuietAsync(peer, 1);
        await peer.SendAsync(WindowUpdate(1, 1));

        Assert.Equal(1, await DataLengthAsync(peer, 1));
    }

    [Fact]
    public async Task The_window_of_the_connection_bounds_all_streams()
    {
        await using var proxy = Serve();
        proxy.Routes(Direct("/", 200, new string('x', 40_000)));
        await using var peer = await ConnectAsync(proxy, (SettingId.InitialWindowSize, 1_000_000));

        await peer.SendAsync(Get(1), Get(3));
        var total = 0;
        while (total < 65_535)
        {
            total += (await peer.ReadUntilAsync(f => f.Type == FrameType.Data)).Header.Length;
        }

        Assert.Equal(65_535, total);
        await AssertQuietAsync(peer, 3);
        await peer.SendAsync(WindowUpdate(0, 100_000));
        Assert.Equal(80_000 - 65_535, await DataLengthAsync(peer, 3));
    }

    [Fact]
    public async Task Content_beyond_the_window_of_a_stream_resets_it()
    {
        await using var proxy = Stuck();
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(Post(1), Data(1, new string('x', 16_384)), Data(1, new string('x', 16_384)), Data(1, new string('x', 16_384)), Data(1, new string('x', 16_384)));

        Assert.Equal("stream 1 FlowControlError", await peer.OutcomeAsync(waitsForAnswer: false));
    }

    [Fact]
    public async Task Padding_counts_as_content()
    {
        await using var proxy = Stuck();
        await using var peer = await ConnectAsync(proxy);
        var padded = Frame(FrameType.Data, FrameFlags.Padded, 1, [255, .. new byte[16_383]]);

        await peer.SendAsync(Post(1), padded, padded, padded, padded);

        Assert.Equal("stream 1 FlowControlError", await peer.OutcomeAsync(waitsForAnswer: false));
    }

    [Fact]
    public async Task Content_beyond_the_window_of_the_connection_ends_it()
    {
        await using var proxy = Stuck();
        await using var peer = await ConnectAsync(proxy);
        var content = new string('x', 16_383);

        for (var id = 1; id < 40; id += 2)
        {
            await peer.SendAsync(Post(id), Data(id, content), Data(id, content), Data(id, content), Data(id, content));
        }

        Assert.Equal("connection FlowControlError", await peer.OutcomeAsync(waitsForAnswer: false));
    }

    [Fact]
    public async Task What_a_stream_leaves_unread_is_given_back_to_the_connection()
    {
        await using var proxy = Stuck();
        await using var peer = await ConnectAsync(proxy);
        var content = new string('x', 16_383);

        // Five times the connection's window, of streams that nobody reads and that are given up, by either side.
        for (var id = 1; id < 160; id += 2)
        {
            await peer.SendAsync(Post(id), Data(id, content), Data(id, content), Data(id, content), Data(id, content), id % 4 == 1 ? Reset(id) : Data(id, content));
            await peer.SendAsync(Ping());
            await peer.ReadUntilAsync(f => f is { Type: FrameType.Ping, Header.IsAck: true });
        }

        Assert.Equal("ignored", await peer.OutcomeAsync(waitsForAnswer: false));
    }

    /// <summary>Requests wait for an upstream that speaks HTTP/2 and says nothing; what is sent stays unread.</summary>
    static ProxyHarness Stuck()
    {
        var proxy = new ProxyHarness();
        var silent = proxy.Upstream(async stream => await stream.ReadAtLeastAsync(new byte[1024 * 1024], 1024 * 1024));
        Assert.Null(proxy.Cluster("c", [silent], c =>
        {
            Http2ProxyTests.SpeakHttp2(c);
            c.ConnectTimeout = Google.Protobuf.WellKnownTypes.Duration.FromTimeSpan(TimeSpan.FromSeconds(30));
        }));
        Assert.Null(proxy.Routes(h => h.Http2ProtocolOptions = new() { InitialConnectionWindowSize = 1024 * 1024 }, ProxyHarness.To("c")));
        return proxy;
    }
}
