using System.Text;
using Envoy.Config.Route.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>CONNECT over HTTP/2 (RFC 9113 section 8.5): a stream as a tunnel.</summary>
public class ConnectTests
{
    static Route Connect(bool terminates)
    {
        var route = new Route { Match = new RouteMatch { ConnectMatcher = new() }, Route_ = new RouteAction { Cluster = "c" } };
        route.Route_.UpgradeConfigs.Add(new RouteAction.Types.UpgradeConfig { UpgradeType = "CONNECT", ConnectConfig = terminates ? new() : null });
        return route;
    }

    static void Allow(HttpConnectionManager manager) => manager.UpgradeConfigs.Add(new HttpConnectionManager.Types.UpgradeConfig { UpgradeType = "CONNECT" });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Bytes_go_both_ways_and_so_do_their_ends(bool isPassedOn)
    {
        await using var last = new ProxyHarness();
        await using var first = new ProxyHarness();
        last.Clusters(("c", [last.Upstream(async stream =>
        {
            // Says what came when that was all.
            var text = await ReadAsync(stream, _ => false);
            await WriteAsync(stream, $"got {text}");
        })]));
        Assert.Null(last.Routes(Allow, Connect(terminates: true)));
        Assert.Null(first.Cluster("c", [last.Port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(first.Routes(Allow, Connect(terminates: false)));
        var client = await FramePeer.ConnectAsync(isPassedOn ? first : last);

        await client.HeadAsync(1, isEnd: false, (":method", "CONNECT"), (":authority", "db:5432"));
        Assert.False((await client.ExpectAsync(FrameType.Headers, 1)).IsEndStream);
        await client.DataAsync(1, "hello ");
        await client.DataAsync(1, "there", isEnd: true);

        var received = "";
        Frame frame;
        do
        {
            frame = await client.ExpectAsync(FrameType.Data, 1);
            received += Encoding.ASCII.GetString(frame.Payload);
        }
        while (!frame.IsEndStream);

        Assert.Equal("got hello there", received);
    }

    [Fact]
    public async Task It_is_refused_where_it_is_not_allowed()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [FreePort()]));
        Assert.Null(proxy.Routes(To("c")));
        var client = await FramePeer.ConnectAsync(proxy);

        await client.HeadAsync(1, isEnd: false, (":method", "CONNECT"), (":authority", "db:5432"));

        Assert.Contains("501", Encoding.Latin1.GetString((await client.ExpectAsync(FrameType.Headers, 1)).Payload));
        Assert.True((await client.ExpectAsync(FrameType.Data, 1)).IsEndStream);
    }
}
