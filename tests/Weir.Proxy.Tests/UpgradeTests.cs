using System.Net.WebSockets;
using System.Text;
using Envoy.Config.Route.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class UpgradeTests
{
    /// <summary>A WebSocket server that answers each message with itself.</summary>
    static int EchoServer(ProxyHarness proxy, List<string>? heads = null) => proxy.Upstream(async stream =>
    {
        var head = await ReadHeadAsync(stream);
        heads?.Add(head);
        await EchoWebSocketAsync(stream, head);
    });

    [Fact]
    public async Task Websockets_pass_through_an_upgrade()
    {
        await using var proxy = new ProxyHarness();
        var heads = new List<string>();
        proxy.Clusters(("c", [EchoServer(proxy, heads)]));
        Assert.Null(proxy.Routes(AllowWebSockets, To("c")));

        using var client = new ClientWebSocket();
        await client.ConnectAsync(new Uri($"ws://127.0.0.1:{proxy.Port}/chat"), CancellationToken.None);
        foreach (var size in new[] { 1, 100, 70_000 })
        {
            var sent = new byte[size];
            new Random(size).NextBytes(sent);
            await client.SendAsync(sent, WebSocketMessageType.Binary, true, CancellationToken.None);
            var received = new List<byte>();
            var buffer = new byte[100_000];
            WebSocketReceiveResult part;
            do
            {
                part = await client.ReceiveAsync(new ArraySegment<byte>(buffer), CancellationToken.None);
                received.AddRange(buffer[..part.Count]);
            }
            while (!part.EndOfMessage);
            Assert.Equal(sent, received);
        }

        await client.CloseAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
        Assert.Contains("connection: upgrade\r\nupgrade: websocket\r\n", heads.Single());
    }

    [Fact]
    public async Task An_upgrade_that_is_not_allowed_is_not_passed_on()
    {
        await using var proxy = new ProxyHarness();
        var seen = new TaskCompletionSource<string>();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            seen.TrySetResult(await ReadHeadAsync(s));
            await WriteAsync(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        })]));
        proxy.Routes(AllowWebSockets, To("c"));

        var answer = await proxy.ExchangeAsync(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", t => t.EndsWith("ok", StringComparison.Ordinal));

        Assert.StartsWith("HTTP/1.1 200", answer);
        Assert.DoesNotContain("h2c", await seen.Task);
        Assert.DoesNotContain("HTTP2-Settings", await seen.Task, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_server_may_answer_an_upgrade_as_an_ordinary_request()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")]));
        proxy.Routes(AllowWebSockets, To("c"));
        const string Request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

        // And the connection can be used again.
        var answer = await proxy.ExchangeAsync(Request + Request, t => t.Split("HTTP/1.1 426").Length == 3 && t.EndsWith("no", StringComparison.Ordinal));

        Assert.DoesNotContain("connection: close", answer);
    }

    [Fact]
    public async Task Switching_without_having_been_asked_is_a_broken_protocol()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")]));
        proxy.Routes(AllowWebSockets, To("c"));

        Assert.StartsWith("HTTP/1.1 502", await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\n\r\n", t => t.Contains("protocol error", StringComparison.Ordinal)));
    }

    static Route ConnectRoute(bool terminates)
    {
        var route = new Route { Match = new RouteMatch { ConnectMatcher = new() }, Route_ = new RouteAction { Cluster = "c" } };
        route.Route_.UpgradeConfigs.Add(new RouteAction.Types.UpgradeConfig { UpgradeType = "CONNECT", ConnectConfig = terminates ? new() : null });
        return route;
    }

    static void AllowConnect(HttpConnectionManager manager) =>
        manager.UpgradeConfigs.Add(new HttpConnectionManager.Types.UpgradeConfig { UpgradeType = "CONNECT" });

    [Fact]
    public async Task Connect_ends_here_where_the_route_says_so()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            var buffer = new byte[100];
            var read = await s.ReadAsync(buffer);
            await WriteAsync(s, "got " + Encoding.ASCII.GetString(buffer, 0, read));
        })]));
        Assert.Null(proxy.Routes(AllowConnect, ConnectRoute(terminates: true)));

        // Bytes sent along with the head belong to the tunnel.
        var answer = await proxy.ExchangeAsync("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nhello");

        Assert.Equal("HTTP/1.1 200 OK\r\n\r\ngot hello", answer);
    }

    [Fact]
    public async Task Connect_is_passed_on_to_another_proxy()
    {
        await using var proxy = new ProxyHarness();
        var seen = new TaskCompletionSource<string>();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            seen.SetResult(await ReadHeadAsync(s));
            await WriteAsync(s, "HTTP/1.1 200 Connected\r\nContent-Length: 77\r\n\r\nraw");
            var buffer = new byte[100];
            var read = await s.ReadAsync(buffer);
            await WriteAsync(s, Encoding.ASCII.GetString(buffer, 0, read).ToUpperInvariant());
        })]));
        proxy.Routes(AllowConnect, ConnectRoute(terminates: false));

        await using var stream = await proxy.ConnectAsync();
        await WriteAsync(stream, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n");
        var head = await ReadAsync(stream, t => t.EndsWith("raw", StringComparison.Ordinal));
        await WriteAsync(stream, "hello");

        Assert.Equal("HELLO", await ReadAsync(stream, t => t.Length >= 5));
        Assert.StartsWith("CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n", await seen.Task);

        // A length in the answer to CONNECT means nothing (RFC 9110 section 9.3.6).
        Assert.DoesNotContain("ontent-", head);
    }

    [Fact]
    public async Task Connect_is_refused_where_it_is_not_allowed()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]));
        proxy.Routes(To("c"));

        Assert.StartsWith("HTTP/1.1 501", await proxy.ExchangeAsync("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", t => t.Contains("listener", StringComparison.Ordinal)));
    }
}
