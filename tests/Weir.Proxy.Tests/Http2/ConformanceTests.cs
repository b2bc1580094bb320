using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What RFC 9113 and RFC 7541 say that a server answers to a client that keeps to them, and to one that does not.</summary>
public class ConformanceTests
{
    static readonly Dictionary<string, ConformanceCase> All = new IEnumerable<ConformanceCase>[]
    {
        ConformanceCases.Accepted, ConformanceCases.Framing, MessageCases.Messages, MessageCases.Compressed,
    }.SelectMany(c => c).ToDictionary(c => c.ToString());

    public static IEnumerable<object[]> Names => All.Keys.Select(n => new object[] { n });

    internal static Route Direct(string prefix, int status, string body) => new()
    {
        Match = new RouteMatch { Prefix = prefix },
        DirectResponse = new DirectResponseAction { Status = (uint)status, Body = new DataSource { InlineString = body } },
    };

    internal static Route Prefix(string prefix, string cluster)
    {
        var route = ProxyHarness.To(cluster);
        route.Match.Prefix = prefix;
        return route;
    }

    /// <summary>A proxy with the routes that the cases speak of.</summary>
    internal static ProxyHarness Serve()
    {
        var proxy = new ProxyHarness();
        var up = proxy.Upstream(async stream =>
        {
            while (await ProxyHarness.ReadHeadAsync(stream) is { Length: > 0 } head)
            {
                var length = head.Split("content-length: ", StringSplitOptions.None) is [_, var rest] ? int.Parse(rest.Split('\r')[0]) : 0;
                await stream.ReadExactlyAsync(new byte[length]);
                await ProxyHarness.WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        var hold = proxy.Upstream(async stream =>
        {
            var buffer = new byte[64 * 1024];
            while (await stream.ReadAsync(buffer) > 0)
            {
            }
        });
        proxy.Clusters(("up", [up]), ("hold", [hold]));
        Assert.Null(proxy.Routes(Prefix("/up", "up"), Prefix("/hold", "hold"), Direct("/", 200, "hello")));
        return proxy;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Answers(string name)
    {
        var (_, _, outcome, frames) = All[name];
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(frames);

        Assert.Equal(outcome, await peer.OutcomeAsync(outcome.Contains("answer", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX")]
    [InlineData("PRI * HTTP/2.0\r\n\r\nINVALID\r\n\r\n")]
    public async Task A_wrong_preface_closes_the_connection(string preface)
    {
        await using var proxy = Serve();

        var answer = await proxy.ExchangeAsync(preface);

        Assert.DoesNotContain("200", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_first_frame_has_to_be_settings()
    {
        await using var proxy = Serve();
        await using var peer = new RawPeer(await proxy.ConnectAsync());

        await peer.SendAsync(Preface, Get(1));

        Assert.Equal("connection ProtocolError", await peer.OutcomeAsync(waitsForAnswer: false));
    }

    [Fact]
    public async Task The_server_begins_with_settings_and_acknowledges_those_of_the_client()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy);

        var first = await peer.ReadAsync();
        await peer.ReadUntilAsync(f => f is { Type: FrameType.Settings, Header.IsAck: true });

        Assert.True(first is { Type: FrameType.Settings, Header.IsAck: false });
    }

    [Fact]
    public async Task Streams_beyond_the_limit_are_refused_and_the_others_go_on()
    {
        await using var proxy = Serve();
        proxy.Routes(
            m => m.Http2ProtocolOptions = new Http2ProtocolOptions { MaxConcurrentStreams = 3 }, Prefix("/hold", "hold"), Prefix("/up", "up"), Direct("/", 200, "hello"));
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(Get(1, "/hold"), Get(3, "/hold"), Get(5, "/hold"), Get(7));
        var refused = await peer.ReadUntilAsync(FrameType.RstStream, 7);
        await peer.SendAsync(Reset(1), Get(9));
        var answer = await peer.ReadUntilAsync(FrameType.Headers, 9);

        Assert.Equal(Http2ErrorCode.RefusedStream, refused.Code);
        Assert.Equal(":status: 200", peer.Fields(answer)[0]);
    }

    [Fact]
    public async Task Many_cookies_of_a_browser_become_one_field()
    {
        await using var proxy = Serve();
        var (port, head) = proxy.Recording("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        proxy.Clusters(("up", [port]), ("hold", [port]));
        await using var peer = await ConnectAsync(proxy);
        var crumbs = Enumerable.Range(0, 80).Select(i => $"cookie: name{i}={new string('v', 100)}").ToArray();

        await peer.SendAsync(Get(1, "/up", [.. crumbs[..40], "x-between: y", .. crumbs[40..], "x-after: z"]));
        await peer.ReadUntilAsync(FrameType.Headers, 1);

        var lines = (await head).Split("\r\n");
        Assert.Equal("cookie: " + string.Join("; ", crumbs.Select(c => c[8..])), Assert.Single(lines, l => l.StartsWith("cookie", StringComparison.Ordinal)));
        Assert.Contains("x-between: y", lines);
        Assert.Contains("x-after: z", lines);
    }

    [Fact]
    public async Task After_the_last_request_that_is_allowed_those_under_way_are_served_and_later_ones_refused()
    {
        await using var proxy = Serve();
        proxy.Routes(m => m.CommonHttpProtocolOptions = new HttpProtocolOptions { MaxRequestsPerConnection = 2 }, Direct("/", 200, "hello"), Direct("/", 200, "hello"));
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(Get(1), Get(3), Get(5));
        var first = await peer.ReadUntilAsync(FrameType.GoAway);
        var ping = await peer.ReadUntilAsync(FrameType.Ping);
        await peer.SendAsync(Frame(FrameType.Ping, FrameFlags.Ack, 0, ping.Payload));
        var second = await peer.ReadUntilAsync(FrameType.GoAway);

        Assert.Equal((int.MaxValue, Http2ErrorCode.NoError), FramePayload.ReadGoAway(first.Payload));
        Assert.Equal((5, Http2ErrorCode.NoError), FramePayload.ReadGoAway(second.Payload));
        Assert.Null(await peer.ReadAsync());
    }
}
