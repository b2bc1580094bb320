using System.Collections.Concurrent;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;
using static Weir.Proxy.Tests.Http2.ScriptedUpstream;

namespace Weir.Proxy.Tests.Http2;

/// <summary>An upstream that refuses, goes away, allows little or stops: requests are served by what is left of it, or end in an error.</summary>
public class UpstreamRecoveryTests
{
    [Fact]
    public async Task What_was_refused_is_sent_again()
    {
        var connections = new ConcurrentQueue<int>();
        var asked = 0;
        await using var proxy = Serve(p => Scripted(p, connections, async (peer, _, id) =>
        {
            if (Interlocked.Increment(ref asked) == 1)
            {
                await peer.SendAsync(Reset(id, Http2ErrorCode.RefusedStream));
                return true;
            }

            return await AnswerAsync(peer, id);
        }));

        Assert.Equal("200 fine", await AskAsync(proxy));
        Assert.Equal(2, asked);
    }

    [Fact]
    public async Task What_goaway_says_was_not_processed_is_sent_again_elsewhere()
    {
        var connections = new ConcurrentQueue<int>();
        await using var proxy = Serve(p => Scripted(p, connections, async (peer, number, id) =>
        {
            if (number == 1)
            {
                await peer.SendAsync(GoAway(0));
                return true;
            }

            return await AnswerAsync(peer, id);
        }));

        Assert.Equal("200 fine", await AskAsync(proxy));
        Assert.Equal(2, connections.Count);
    }

    [Fact]
    public async Task What_goaway_says_is_processed_is_waited_for()
    {
        var connections = new ConcurrentQueue<int>();
        await using var proxy = Serve(p => Scripted(p, connections, async (peer, _, id) =>
        {
            await peer.SendAsync(GoAway(int.MaxValue), GoAway(id));
            return await AnswerAsync(peer, id);
        }));

        Assert.Equal("200 fine", await AskAsync(proxy));
        Assert.Equal("200 fine", await AskAsync(proxy));
        Assert.Equal(2, connections.Count);
    }

    /// <summary>All that wait for a stream are served by connection after connection, though no request may be tried so often.</summary>
    [Fact]
    public async Task Connections_that_serve_one_request_each_serve_all_who_wait()
    {
        var connections = new ConcurrentQueue<int>();
        await using var proxy = Serve(
            p => Scripted(p, connections, (peer, _, id) => AnswerAsync(peer, id)),
            c =>
            {
                c.TypedExtensionProtocolOptions.Clear();
                c.Http2ProtocolOptions = new();
                c.CommonHttpProtocolOptions = new() { MaxRequestsPerConnection = 1 };
                c.CircuitBreakers = new();
                c.CircuitBreakers.Thresholds.Add(new Envoy.Config.Cluster.V3.CircuitBreakers.Types.Thresholds { MaxConnections = 1 });
            });

        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => AskAsync(proxy)));

        Assert.All(answers, a => Assert.Equal("200 fine", a));
        Assert.Equal(12, connections.Count);
    }

    /// <summary>A request that comes under new rules of trust does not join those who wait for a connection made under the old.</summary>
    [Fact]
    public async Task Nobody_is_served_by_a_connection_made_under_other_rules_of_trust()
    {
        using var certificates = new TestCertificates();
        var hasConnected = new TaskCompletionSource();
        var goesOn = new TaskCompletionSource();
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            hasConnected.TrySetResult();
            await goesOn.Task;
            var peer = await AcceptAsync(stream);
            while (await peer.ReadAsync(30) is { } frame)
            {
                if (frame.Type == FrameType.Headers)
                {
                    await AnswerAsync(peer, frame.Stream);
                }
            }
        });
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        var before = AskAsync(proxy);
        await hasConnected.Task;

        Assert.Null(proxy.Cluster("c", [port], c =>
        {
            Http2ProxyTests.SpeakHttp2(c);
            c.TransportSocket = ProxyHarness.Upstream(new() { CommonTlsContext = new() { ValidationContext = certificates.Trust("spiffe://a") } });
        }));
        var after = AskAsync(proxy);
        goesOn.SetResult();

        Assert.Equal("200 fine", await before);
        Assert.Equal("503", await after);
    }

    [Fact]
    public async Task A_close_within_an_answer_never_looks_like_its_end()
    {
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            await peer.SendAsync(Head(id, false, ":status: 200"), Data(id, "test"));
            return false;
        }));

        Assert.Equal("200 cut", await AskAsync(proxy));
    }

    [Fact]
    public async Task A_server_that_never_says_settings_is_given_up_and_not_connected_to_for_each_request()
    {
        var connections = new ConcurrentQueue<int>();
        await using var proxy = Serve(
            p => p.Upstream(async stream =>
            {
                connections.Enqueue(1);
                await stream.ReadAtLeastAsync(new byte[1024 * 1024], 1024 * 1024);
            }),
            c => c.ConnectTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(400)));

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => AskAsync(proxy)));

        Assert.All(answers, a => Assert.Equal("503", a));
        Assert.InRange(connections.Count, 1, 3);
    }

    [Fact]
    public async Task No_stream_is_opened_until_the_server_allows_one()
    {
        var connections = new ConcurrentQueue<int>();
        var raise = new TaskCompletionSource();
        await using var proxy = Serve(p => p.Upstream(async stream =>
        {
            connections.Enqueue(1);
            var peer = await AcceptAsync(stream, (SettingId.MaxConcurrentStreams, 0));
            await raise.Task;
            await peer.SendAsync(Settings((SettingId.MaxConcurrentStreams, 1)));
            while (await peer.ReadAsync() is { } frame)
            {
                if (frame.Type == FrameType.Headers)
                {
                    await AnswerAsync(peer, frame.Stream);
                }
            }
        }));

        var answers = Enumerable.Range(0, 3).Select(_ => AskAsync(proxy)).ToArray();
        Assert.True(SpinWait.SpinUntil(() => !connections.IsEmpty, TimeSpan.FromSeconds(10)));
        raise.SetResult();

        Assert.All(await Task.WhenAll(answers), a => Assert.Equal("200 fine", a));
    }

    [Fact]
    public async Task Content_waits_for_the_servers_window()
    {
        await using var proxy = Serve(p => Scripted(
            p, [],
            async (peer, _, id) =>
            {
                await peer.SendAsync(Ping());
                var first = await peer.ReadUntilAsync(f => f is { Type: FrameType.Ping, Header.IsAck: true } || f.Type == FrameType.Data);
                await peer.SendAsync(WindowUpdate(id, 2));
                var second = await peer.ReadUntilAsync(f => f.Type == FrameType.Data);
                await peer.SendAsync(WindowUpdate(id, 2));
                var third = await peer.ReadUntilAsync(f => f.Type == FrameType.Data);
                await peer.SendAsync(Head(id, true, $":status: {(first.Type == FrameType.Ping && second.Payload.Length == 2 && third.Payload.Length == 2 ? 201 : 500)}"));
                return true;
            },
            (SettingId.InitialWindowSize, 0)));

        var answer = await proxy.ExchangeAsync("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\ntest");

        Assert.StartsWith("HTTP/1.1 201", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Content_after_an_answer_that_has_none_is_not_passed_on()
    {
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            await peer.SendAsync(Head(id, false, ":status: 200", "content-length: 20"), Data(id, "HTTP/1.1 200 Smuggled", ends: true));
            return true;
        }));

        var answer = await proxy.ExchangeAsync("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

        Assert.DoesNotContain("Smuggled", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Upgrades_that_wait_for_a_server_without_them_end_one_after_the_other()
    {
        var settings = new TaskCompletionSource();
        await using var proxy = Serve(p => p.Upstream(async stream =>
        {
            await settings.Task;
            await AcceptAsync(stream);
            await stream.ReadAtLeastAsync(new byte[1024 * 1024], 1024 * 1024);
        }));
        Assert.Null(proxy.Routes(ProxyHarness.AllowWebSockets, ProxyHarness.To("c")));
        const string Upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

        var answers = Enumerable.Range(0, 500).Select(_ => proxy.ExchangeAsync(Upgrade, t => t.Contains("\r\n\r\n", StringComparison.Ordinal))).ToArray();
        settings.SetResult();

        Assert.All(await Task.WhenAll(answers), a => Assert.StartsWith("HTTP/1.1 50", a, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Content_of_streams_that_were_cancelled_does_not_end_the_connection()
    {
        var connections = new ConcurrentQueue<int>();
        var cancelled = new ConcurrentQueue<int>();
        await using var proxy = Serve(p => Scripted(p, connections, async (peer, _, id) =>
        {
            if (id < 300)
            {
                cancelled.Enqueue(id);
                return true;
            }

            await peer.SendAsync([.. cancelled.SelectMany(c => new[] { Head(c, false, ":status: 200"), Data(c, "late") })]);
            return await AnswerAsync(peer, id);
        }));
        await using var client = await ConnectAsync(proxy);

        for (var id = 1; id < 300; id += 2)
        {
            await client.SendAsync(Get(id));
            Assert.True(SpinWait.SpinUntil(() => cancelled.Count > id / 2, TimeSpan.FromSeconds(10)));
            await client.SendAsync(Reset(id));
        }

        await client.SendAsync(Get(301));
        var answer = await client.ReadUntilAsync(FrameType.Headers, 301);

        Assert.Equal(":status: 200", client.Fields(answer)[0]);
        Assert.Single(connections);
    }
}
