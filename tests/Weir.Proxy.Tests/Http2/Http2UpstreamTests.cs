using Envoy.Config.Core.V3;
using Weir.Proxy.Http2;
using Weir.Proxy.Telemetry;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Upstreams of HTTP/2 that refuse, go away, or allow little: what becomes of the requests that are for them.</summary>
public class Http2UpstreamTests
{
    [Fact]
    public async Task When_its_endpoint_goes_an_open_stream_ends_in_peace()
    {
        await using var proxy = new ProxyHarness();
        var removed = new TaskCompletionSource();
        var port = proxy.Upstream(async stream =>
        {
            var peer = await FramePeer.AcceptAsync(stream);
            var id = (await peer.ExpectAsync(FrameType.Headers)).Stream;
            await peer.AnswerAsync(id, isEnd: false);
            await peer.DataAsync(id, "a");
            await removed.Task;
            await peer.DataAsync(id, "b", isEnd: true);
            await peer.ExpectEndAsync();
        });
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);
        await client.RequestAsync(1);
        await client.ExpectAsync(FrameType.Data, 1);

        Assert.Null(proxy.Cluster("c", [FreePort()], Http2ProxyTests.SpeakHttp2));
        removed.SetResult();

        Assert.True((await client.ExpectAsync(FrameType.Data, 1)).IsEndStream);
    }

    /// <summary>An upstream whose first connection treats its first request so; every other request is answered.</summary>
    static int Unwilling(ProxyHarness proxy, Func<FramePeer, int, Task> refuse, Action? onConnection = null)
    {
        var connections = 0;
        return proxy.Upstream(async stream =>
        {
            onConnection?.Invoke();
            var isFirst = Interlocked.Increment(ref connections) == 1;
            var peer = await FramePeer.AcceptAsync(stream);
            while (await peer.ReadAsync() is { } frame)
            {
                if (!frame.IsEndStream)
                {
                    continue;
                }

                if (isFirst)
                {
                    isFirst = false;
                    await refuse(peer, frame.Stream);
                }
                else
                {
                    await peer.AnswerAsync(frame.Stream);
                }
            }
        });
    }

    public static TheoryData<bool, bool> Refusals => new() { { true, false }, { false, false }, { true, true }, { false, true } };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_request_that_the_upstream_has_not_looked_at_is_sent_again(bool byGoAway, bool hasBody)
    {
        await using var proxy = new ProxyHarness();
        var port = Unwilling(proxy, (peer, id) => byGoAway ? peer.GoAwayAsync(0) : peer.ResetAsync(id, Http2ErrorCode.RefusedStream));
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);

        await client.RequestAsync(1, isEnd: !hasBody, method: hasBody ? "POST" : "GET");
        if (hasBody)
        {
            await client.DataAsync(1, "content", isEnd: true);
        }

        Assert.True((await client.ExpectAsync(FrameType.Headers, 1)).IsEndStream);
        Assert.Equal(1, proxy.Count(200, ResponseFlag.None));
    }

    [Fact]
    public async Task An_upstream_that_goes_away_finishes_what_it_has()
    {
        await using var proxy = new ProxyHarness();
        var connections = 0;
        var port = Unwilling(
            proxy,
            async (peer, id) =>
            {
                await peer.GoAwayAsync(int.MaxValue);
                await peer.GoAwayAsync(id);
                await peer.AnswerAsync(id, status: "201");
            },
            () => Interlocked.Increment(ref connections));
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);

        await client.RequestAsync(1);
        Assert.True((await client.ExpectAsync(FrameType.Headers, 1)).IsEndStream);
        await client.RequestAsync(3);
        Assert.True((await client.ExpectAsync(FrameType.Headers, 3)).IsEndStream);

        Assert.Equal((1, 1), (proxy.Count(201, ResponseFlag.None), proxy.Count(200, ResponseFlag.None)));
        Assert.Equal(2, connections);
    }

    [Fact]
    public async Task An_upstream_connection_carries_as_many_requests_as_it_may()
    {
        await using var proxy = new ProxyHarness();
        var connections = 0;
        var port = Unwilling(proxy, (peer, id) => peer.AnswerAsync(id), () => Interlocked.Increment(ref connections));
        Assert.Null(proxy.Cluster("c", [port], c =>
        {
            c.Http2ProtocolOptions = new Http2ProtocolOptions();
            c.CommonHttpProtocolOptions = new HttpProtocolOptions { MaxRequestsPerConnection = 2 };
        }));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);

        for (var id = 1; id < 12; id += 2)
        {
            await client.RequestAsync(id);
            await client.ExpectAsync(FrameType.Headers, id);
        }

        Assert.Equal(3, connections);
    }

    [Fact]
    public async Task Streams_that_stay_open_do_not_keep_others_waiting_for_a_connection()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            var peer = await FramePeer.AcceptAsync(stream);
            while (await peer.ReadAsync() is { } frame)
            {
                if (frame.Type == FrameType.Headers)
                {
                    await peer.AnswerAsync(frame.Stream, isEnd: false);
                }
            }
        });
        Assert.Null(proxy.Cluster("c", [port], c => c.Http2ProtocolOptions = new Http2ProtocolOptions { MaxConcurrentStreams = 4 }));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);

        // All at once, before there is a connection: more than one can carry.
        for (var id = 1; id < 40; id += 2)
        {
            await client.RequestAsync(id);
        }

        for (var id = 1; id < 40; id += 2)
        {
            await client.ExpectAsync(FrameType.Headers);
        }
    }

    [Fact]
    public async Task A_stream_that_waits_for_another_to_end_gets_its_own_answer()
    {
        await using var proxy = new ProxyHarness();
        var port = Unwilling(proxy, (peer, id) => peer.AnswerAsync(id));
        Assert.Null(proxy.Cluster("c", [port], c =>
        {
            c.Http2ProtocolOptions = new Http2ProtocolOptions { MaxConcurrentStreams = 1 };
            c.CircuitBreakers = new Envoy.Config.Cluster.V3.CircuitBreakers { Thresholds = { new Envoy.Config.Cluster.V3.CircuitBreakers.Types.Thresholds { MaxConnections = 1 } } };
        }));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);
        for (var id = 1; id < 40; id += 2)
        {
            await client.RequestAsync(id);
        }

        for (var count = 0; count < 20; count++)
        {
            Assert.True((await client.ExpectAsync(FrameType.Headers)).IsEndStream);
        }

        Assert.Equal(20, proxy.Count(200, ResponseFlag.None, 20));
    }
}
