using System.Collections.Concurrent;
using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.ConformanceTests;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>
/// Extended CONNECT (RFC 8441), which an upstream of HTTP/1.1 sees as a GET that offers to upgrade, on a connection that it shares with
/// the requests of others.
/// </summary>
public class ExtendedConnectTests
{
    const string Ask = "GET /open?next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    static string[] Request(params string[] more) =>
        [":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: /open/chat", ":authority: a", "sec-websocket-version: 13", .. more];

    static int LengthIn(string head) =>
        head.Split("\r\n").FirstOrDefault(l => l.StartsWith("content-length: ", StringComparison.OrdinalIgnoreCase)) is { } line ? int.Parse(line.Split(' ')[1]) : 0;

    /// <summary>
    /// An upstream that, as every server has to, reads over the content that a request has declared: after its answer when it refuses an
    /// upgrade, before it otherwise. It says of each request what it took its first line to be.
    /// </summary>
    static int ReadingContent(ProxyHarness proxy, ConcurrentQueue<string> seen, Action<string>? onHead = null) => proxy.Upstream(async stream =>
    {
        while (await ProxyHarness.ReadHeadAsync(stream) is { Length: > 0 } head)
        {
            seen.Enqueue(head.Split("\r\n")[0]);
            var isUpgrade = head.StartsWith("GET /open/chat", StringComparison.Ordinal);
            if (isUpgrade)
            {
                await ProxyHarness.WriteAsync(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }

            await stream.ReadExactlyAsync(new byte[LengthIn(head)]);
            if (!isUpgrade)
            {
                onHead?.Invoke(head);
                var answer = head.StartsWith("GET /closed", StringComparison.Ordinal) ? "secret" : "opened";
                await ProxyHarness.WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{answer}");
            }
        }
    });

    public static TheoryData<bool, bool> Lengths => new() { { true, false }, { true, true }, { false, false }, { false, true } };

    /// <summary>A tunnel's bytes have no length: who believed in one would take the next request for them.</summary>
    [Theory]
    [MemberData(nameof(Lengths))]
    public async Task A_length_makes_it_malformed(bool isAllowedByRoute, bool ends)
    {
        var seen = new ConcurrentQueue<string>();
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [ReadingContent(proxy, seen)]));
        Assert.Null(proxy.Routes(isAllowedByRoute ? ProxyHarness.AllowWebSockets : AllowFromClients, Prefix("/open", "c")));
        await using var client = await ConnectAsync(proxy);

        await client.SendAsync(Head(1, ends, Request("content-length: 7")));
        var reset = await client.ReadUntilAsync(f => f.Stream == 1);
        var next = await proxy.ExchangeAsync(Ask);

        Assert.Equal(FrameType.RstStream, reset.Type);
        Assert.Equal(Http2ErrorCode.ProtocolError, reset.Code);
        Assert.EndsWith("opened", next, StringComparison.Ordinal);
        Assert.Equal(["GET /open?next HTTP/1.1"], seen);
    }

    /// <summary>RFC 8441 is offered to clients, and nothing to routes.</summary>
    static void AllowFromClients(HttpConnectionManager manager) => manager.Http2ProtocolOptions = new Http2ProtocolOptions { AllowConnect = true };

    [Theory]
    [InlineData]
    [InlineData("content-length: 0")]
    public async Task Where_no_route_allows_the_protocol_it_does_not_reach_the_upstream(params string[] more)
    {
        var seen = new ConcurrentQueue<string>();
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [ReadingContent(proxy, seen)]));
        Assert.Null(proxy.Routes(AllowFromClients, Prefix("/open", "c")));
        await using var client = await ConnectAsync(proxy);

        await client.SendAsync(Head(1, false, Request(more)));
        var answer = client.Fields(await client.ReadUntilAsync(FrameType.Headers, 1));
        await proxy.ExchangeAsync(Ask);

        Assert.Equal(":status: 501", answer[0]);
        Assert.Equal(["GET /open?next HTTP/1.1"], seen);
    }

    /// <summary>
    /// With the length of the proxy's next head, the upstream would take that head for content, and the content after it for a request
    /// that nobody has checked.
    /// </summary>
    [Fact]
    public async Task A_length_does_not_open_a_path_that_no_route_leads_to()
    {
        const string Hidden = "GET /closed HTTP/1.1\r\nhost: a\r\n\r\n";
        var seen = new ConcurrentQueue<string>();
        var length = 0;
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [ReadingContent(proxy, seen, head => length = head.Length)]));
        Assert.Null(proxy.Routes(ProxyHarness.AllowWebSockets, Prefix("/open", "c")));
        await using var client = await ConnectAsync(proxy);
        async Task<string> OpenAsync(int id)
        {
            await client.SendAsync(Post(id, "/open", $"content-length: {Hidden.Length}"), Data(id, Hidden, ends: true));
            return Encoding.ASCII.GetString((await client.ReadUntilAsync(FrameType.Data, id)).Payload);
        }

        await client.SendAsync(Get(1, "/closed"));
        Assert.Equal(":status: 404", client.Fields(await client.ReadUntilAsync(FrameType.Headers, 1))[0]);
        Assert.Equal("opened", await OpenAsync(3));
        await client.SendAsync(Head(5, false, Request($"content-length: {length}")));
        await client.ReadUntilAsync(FrameType.RstStream, 5);

        Assert.Equal("opened", await OpenAsync(7));
        Assert.Equal(["POST /open HTTP/1.1", "POST /open HTTP/1.1"], seen);
    }

    /// <summary>An ordinary 200 to an offer to upgrade is no agreement, and to a client of HTTP/2 it would look like one.</summary>
    [Fact]
    public async Task An_upgrade_that_was_not_agreed_to_is_not_shown_as_a_tunnel()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npage!")]));
        Assert.Null(proxy.Routes(ProxyHarness.AllowWebSockets, ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);

        await client.SendAsync(Head(1, false, Request()));

        Assert.Equal(":status: 502", client.Fields(await client.ReadUntilAsync(FrameType.Headers, 1))[0]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_half_closed_tunnel_ends_with_its_client(bool byReset)
    {
        var isHalfClosed = new TaskCompletionSource();
        var isOver = new TaskCompletionSource();
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            await ProxyHarness.ReadHeadAsync(stream);
            await ProxyHarness.WriteAsync(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            Assert.Equal("bye", await ProxyHarness.ReadAsync(stream, _ => false));
            isHalfClosed.SetResult();

            // Its own half stays open, and nothing comes of it.
            await isOver.Task;
        });
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(ProxyHarness.AllowWebSockets, ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync(Head(1, false, Request()));
        await client.ReadUntilAsync(FrameType.Headers, 1);
        await client.SendAsync(Data(1, "bye", ends: true));
        await isHalfClosed.Task.WaitAsync(TimeSpan.FromSeconds(10));

        if (byReset)
        {
            await client.SendAsync(Reset(1));
        }
        else
        {
            await client.DisposeAsync();
        }

        long Ended() => proxy.Stats.All.SelectMany(s => s.All).Sum(s => Volatile.Read(ref s.Count));
        Assert.True(SpinWait.SpinUntil(() => Ended() == 1, TimeSpan.FromSeconds(8)), "the client has gone, and its tunnel is still there");
        isOver.SetResult();
    }
}
