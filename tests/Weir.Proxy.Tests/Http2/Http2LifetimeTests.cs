using Envoy.Config.Core.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Http2;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>How connections of HTTP/2, and streams on them, come to their end: in order, or not.</summary>
public class Http2LifetimeTests
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// <summary>The client is told to open no more; what it has opened by then is served; then it is told which was the last.</summary>
    static async Task ExpectFarewellAsync(FramePeer client, int last)
    {
        Assert.Equal(int.MaxValue, (await client.ExpectAsync(FrameType.GoAway)).LastStream);
        var ping = await client.ExpectAsync(FrameType.Ping);
        Assert.False(ping.IsAck);
        await client.AnswerPingAsync(ping);
        Assert.Equal(last, (await client.ExpectAsync(FrameType.GoAway)).LastStream);
    }

    [Fact]
    public async Task A_connection_ends_after_as_many_requests_as_it_may_have()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { MaxRequestsPerConnection = 2 }, To("c")));
        var client = await FramePeer.ConnectAsync(proxy);

        await client.RequestAsync(1);
        await client.ExpectAsync(FrameType.Headers, 1);
        await client.RequestAsync(3);
        await ExpectFarewellAsync(client, 3);
        await client.ExpectEndAsync();
    }

    [Fact]
    public async Task A_connection_ends_when_it_has_been_open_for_as_long_as_it_may()
    {
        await using var proxy = new ProxyHarness();
        var held = new TaskCompletionSource();
        proxy.Clusters(("c", [proxy.Upstream(async stream =>
        {
            await ReadHeadAsync(stream);
            await held.Task;
            await WriteAsync(stream, Ok);
        })]));
        Assert.Null(proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { MaxConnectionDuration = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(100)) }, To("c")));
        var client = await FramePeer.ConnectAsync(proxy);
        await client.RequestAsync(1);

        // The stream that is open then is answered.
        await ExpectFarewellAsync(client, 1);
        await client.RequestAsync(3);
        Assert.Equal(Http2ErrorCode.RefusedStream, (await client.ExpectAsync(FrameType.RstStream, 3)).Code);
        held.SetResult();
        Assert.True((await client.ExpectAsync(FrameType.Data, 1)).IsEndStream);
        await client.ExpectEndAsync();
    }

    /// <summary>A client may by then have sent the later ones elsewhere (RFC 9113 section 6.8).</summary>
    [Fact]
    public async Task What_was_refused_after_the_last_stream_was_named_is_never_said_to_be_served()
    {
        await using var proxy = new ProxyHarness();
        var held = new TaskCompletionSource();
        proxy.Clusters(("c", [proxy.Upstream(_ => held.Task)]));
        Assert.Null(proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { MaxRequestsPerConnection = 1 }, To("c")));
        var client = await FramePeer.ConnectAsync(proxy);
        await client.RequestAsync(1);
        await ExpectFarewellAsync(client, 1);
        await client.RequestAsync(3);
        Assert.Equal(Http2ErrorCode.RefusedStream, (await client.ExpectAsync(FrameType.RstStream, 3)).Code);

        await client.DataAsync(0, "of no stream");

        var end = await client.ExpectAsync(FrameType.GoAway);
        Assert.Equal((1, Http2ErrorCode.ProtocolError), (end.LastStream, (Http2ErrorCode)end.Payload[7]));
        held.SetResult();
    }

    [Fact]
    public async Task A_connection_without_requests_ends()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { IdleTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(100)) }, To("c")));
        var client = await FramePeer.ConnectAsync(proxy);
        await client.RequestAsync(1);
        await client.ExpectAsync(FrameType.Data, 1);

        Assert.Equal(1, (await client.ExpectAsync(FrameType.GoAway)).LastStream);
        await client.ExpectEndAsync();
    }

    [Fact]
    public async Task When_its_listener_goes_open_streams_end_in_peace()
    {
        await using var proxy = new ProxyHarness();
        var held = new TaskCompletionSource();
        proxy.Clusters(("c", [proxy.Upstream(async stream =>
        {
            await ReadHeadAsync(stream);
            await WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
            await held.Task;
            await WriteAsync(stream, "lf");
        })]));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);
        await client.RequestAsync(1);
        await client.ExpectAsync(FrameType.Data, 1);

        proxy.Store.Apply(XdsTypes.Listener, [], ["test"]);

        await ExpectFarewellAsync(client, 1);
        held.SetResult();
        Assert.True((await client.ExpectAsync(FrameType.Data, 1)).IsEndStream);
        await client.ExpectEndAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_timeout_in_the_middle_of_an_answer_resets_both_sides(bool isIdle)
    {
        await using var proxy = new ProxyHarness();
        var reset = new TaskCompletionSource<Http2ErrorCode>();
        var port = proxy.Upstream(async stream =>
        {
            var peer = await FramePeer.AcceptAsync(stream);
            var id = (await peer.ExpectAsync(FrameType.Headers)).Stream;
            await peer.AnswerAsync(id, isEnd: false);
            await peer.DataAsync(id, "a");
            reset.SetResult((await peer.ExpectAsync(FrameType.RstStream, id)).Code);
        });
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        var limit = TimeSpan.FromMilliseconds(200);
        Assert.Null(proxy.Routes(h => h.StreamIdleTimeout = isIdle ? Duration.FromTimeSpan(limit) : null, To("c", isIdle ? TimeSpan.Zero : limit)));
        var client = await FramePeer.ConnectAsync(proxy);
        await client.RequestAsync(1);
        await client.ExpectAsync(FrameType.Data, 1);

        var frame = await client.ExpectAsync(FrameType.RstStream, 1);

        Assert.NotEqual(Http2ErrorCode.NoError, frame.Code);
        Assert.Equal(Http2ErrorCode.Cancel, await reset.Task.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal(1, proxy.Count(200, isIdle ? ResponseFlag.SI : ResponseFlag.UT));

        // The connection goes on.
        await client.RequestAsync(3);
    }
}
