using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Envoy.Config.Core.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.ConformanceTests;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>The end of a client's connection when the client does not play its part in it, and when it must not come yet.</summary>
public class ConnectionEndTests
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    static Duration Milliseconds(int count) => Duration.FromTimeSpan(TimeSpan.FromMilliseconds(count));

    /// <summary>Reads the two frames that say farewell, without an answer to the PING that comes with the first.</summary>
    static async Task IgnoreFarewellAsync(RawPeer client)
    {
        await client.ReadUntilAsync(FrameType.GoAway);
        await client.ReadUntilAsync(FrameType.GoAway);
    }

    /// <summary>Whether it is closed, or refused by a reset: anything but an answer.</summary>
    static async Task AssertRefusedAsync(RawPeer client, int id)
    {
        await client.SendAsync(Get(id));
        while (await client.ReadAsync() is { } frame)
        {
            if (frame.Stream == id)
            {
                Assert.Equal(FrameType.RstStream, frame.Type);
                return;
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_answers_no_ping_cannot_stay(bool byTime)
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(
            h => h.CommonHttpProtocolOptions = byTime ? new HttpProtocolOptions { MaxConnectionDuration = Milliseconds(100) } : new HttpProtocolOptions { MaxRequestsPerConnection = 1 },
            ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);

        await client.SendAsync(Get(1));
        await IgnoreFarewellAsync(client);

        await AssertRefusedAsync(client, 3);
    }

    [Fact]
    public async Task A_client_that_answers_the_same_ping_over_and_over_cannot_stay_either()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { MaxRequestsPerConnection = 1 }, ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync(Get(1));
        var ping = await client.ReadUntilAsync(f => f.Type == FrameType.Ping && !f.Header.IsAck);

        var farewell = client.ReadUntilAsync(FrameType.GoAway);
        for (var watch = Stopwatch.StartNew(); !farewell.IsCompleted && watch.Elapsed < TimeSpan.FromSeconds(5);)
        {
            // More often than the while that is left to a client from its answer on.
            await client.SendAsync(RawPeer.Frame(FrameType.Ping, FrameFlags.Ack, 0, ping.Payload));
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System);
        }

        Assert.True(farewell.IsCompleted, "many times as long as is allowed after its answer, and still there");
        await AssertRefusedAsync(client, 3);
    }

    [Fact]
    public async Task A_client_that_answers_no_ping_is_not_served_by_a_chain_that_is_gone()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync(Get(1));
        await client.ReadUntilAsync(FrameType.Data, 1);

        // Another chain, in which nobody may come in any more.
        Assert.Null(proxy.Routes(h => h.StreamIdleTimeout = Milliseconds(99_000), Direct("/", 403, "")));
        Assert.StartsWith("HTTP/1.1 403", await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), StringComparison.Ordinal);
        await IgnoreFarewellAsync(client);

        await AssertRefusedAsync(client, 3);
    }

    [Fact]
    public async Task A_connection_without_requests_ends_though_its_client_pings_in_pieces()
    {
        var piece = TimeSpan.FromMilliseconds(30);
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { IdleTimeout = Milliseconds(200) }, ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync(Get(1));
        await client.ReadUntilAsync(FrameType.Data, 1);

        var farewell = client.ReadUntilAsync(FrameType.GoAway);
        for (var watch = Stopwatch.StartNew(); !farewell.IsCompleted && watch.Elapsed < TimeSpan.FromSeconds(8);)
        {
            // The time-out has to pass, with the proxy now within a frame, now between two.
            await client.SendAsync(Ping()[..FrameHeader.Size]);
            await Task.Delay(piece, TimeProvider.System);
            await client.SendAsync(Ping()[FrameHeader.Size..]);
            await Task.Delay(piece, TimeProvider.System);
        }

        Assert.True(farewell.IsCompleted, "many times as long without a request as is allowed, and still there");
        Assert.Equal(Http2ErrorCode.NoError, (await farewell).Code);
    }

    /// <summary>A client that has asked for so many bytes, and of which the system keeps little.</summary>
    static async Task<RawPeer> AskAsync(int port, int length)
    {
        var socket = new TcpClient { ReceiveBufferSize = 32 * 1024 };
        await socket.ConnectAsync(IPAddress.Loopback, port);
        var client = new RawPeer(socket.GetStream());
        await client.SendAsync(Preface, Settings((SettingId.InitialWindowSize, 1_000_000_000)), WindowUpdate(0, 1_000_000_000), Get(1, $"/{length}"));
        return client;
    }

    /// <summary>How many bytes of content come.</summary>
    static async Task<int> ReadContentAsync(RawPeer client, int length)
    {
        var received = 0;
        while (received < length && await client.ReadAsync() is { } frame)
        {
            received += frame.Type == FrameType.Data ? frame.Payload.Length : 0;
        }

        await client.DisposeAsync();
        return received;
    }

    /// <summary>An answer that is still to be written is not idleness, though its stream has ended for the proxy.</summary>
    [Fact]
    public async Task The_end_of_an_answer_reaches_a_client_that_pauses()
    {
        // The pause is what is tested, several times the time-out. Of some of these lengths, whatever the buffers of the system hold, only
        // the end is left in the proxy meanwhile.
        var (idle, pause) = (400, TimeSpan.FromSeconds(1.5));
        var lengths = Enumerable.Range(1, 90).Select(i => i * 40_000).ToArray();
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            while (await ProxyHarness.ReadHeadAsync(stream) is { Length: > 0 } head)
            {
                var length = int.Parse(head.Split(' ')[1][1..]);
                await ProxyHarness.WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                await stream.WriteAsync(new byte[length]);
            }
        });
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { IdleTimeout = Milliseconds(idle) }, ProxyHarness.To("c", TimeSpan.Zero)));

        // One after the other, as a connection whose request is late is idle.
        var clients = new List<(RawPeer Peer, int Length)>();
        foreach (var length in lengths)
        {
            clients.Add((await AskAsync(proxy.Port, length), length));
        }

        await Task.Delay(pause, TimeProvider.System);
        var received = await Task.WhenAll(clients.Select(c => ReadContentAsync(c.Peer, c.Length)));

        Assert.Equal(lengths, received);
    }
}
