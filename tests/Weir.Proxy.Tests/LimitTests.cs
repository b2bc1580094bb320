using System.Net.Sockets;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Http2;
using Weir.Proxy.Listeners;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tests.Http2;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class LimitTests
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    static void Limit(Cluster cluster, uint connections = 1000, uint pending = 1000, uint requests = 1000)
    {
        cluster.CircuitBreakers = new CircuitBreakers();
        cluster.CircuitBreakers.Thresholds.Add(new CircuitBreakers.Types.Thresholds { MaxConnections = connections, MaxPendingRequests = pending, MaxRequests = requests });
    }

    [Fact]
    public async Task Requests_wait_for_a_connection_and_those_too_many_are_refused()
    {
        await using var proxy = new ProxyHarness();
        var release = new SemaphoreSlim(0);
        int open = 0, most = 0;
        var arrived = new SemaphoreSlim(0);
        var port = proxy.Upstream(async s =>
        {
            most = Math.Max(most, Interlocked.Increment(ref open));
            while ((await ReadHeadAsync(s)).Length > 0)
            {
                arrived.Release();
                await release.WaitAsync();
                await WriteAsync(s, Ok);
            }

            Interlocked.Decrement(ref open);
        });
        Assert.Null(proxy.Cluster("c", [port], c => Limit(c, connections: 1, pending: 2)));
        proxy.Routes(To("c"));

        Task<string> Ask() => proxy.ExchangeAsync(Get, t => t.EndsWith("ok", StringComparison.Ordinal) || t.EndsWith("overflow", StringComparison.Ordinal));
        var first = Ask();
        await arrived.WaitAsync();
        var rest = Enumerable.Range(0, 5).Select(_ => Ask()).ToList();
        var refused = new List<string>();
        while (refused.Count < 3)
        {
            var done = await Task.WhenAny(rest);
            rest.Remove(done);
            refused.Add(await done);
        }

        release.Release(3);
        var served = await Task.WhenAll([first, .. rest]);

        Assert.All(refused, r => Assert.StartsWith("HTTP/1.1 503", r));
        Assert.All(served, s => Assert.StartsWith("HTTP/1.1 200", s));
        Assert.Equal((1, 3L), (most, proxy.Count(503, ResponseFlag.UO, expected: 3)));
    }

    /// <summary>Those who wait for a stream of a connection that is being made wait as well.</summary>
    [Fact]
    public async Task Requests_that_wait_for_HTTP2_are_limited_too()
    {
        await using var proxy = new ProxyHarness();
        var (accepted, release) = (new SemaphoreSlim(0), new SemaphoreSlim(0));
        var port = proxy.Upstream(async s =>
        {
            accepted.Release();
            await release.WaitAsync();
            var peer = await RawPeer.AcceptAsync(s);
            while (await peer.ReadAsync() is { } frame)
            {
                if (frame.Type == FrameType.Headers)
                {
                    await ScriptedUpstream.AnswerAsync(peer, frame.Stream);
                }
            }
        });
        Assert.Null(proxy.Cluster("c", [port], c =>
        {
            Http2ProxyTests.SpeakHttp2(c);
            Limit(c, pending: 2);
        }));
        proxy.Routes(To("c"));

        Task<string> Ask() => proxy.ExchangeAsync(Get, t => t.EndsWith("fine\r\n0\r\n\r\n", StringComparison.Ordinal) || t.EndsWith("overflow", StringComparison.Ordinal));
        var first = Ask();
        Assert.True(await accepted.WaitAsync(TimeSpan.FromSeconds(10)));
        var rest = Enumerable.Range(0, 4).Select(_ => Ask()).ToList();
        while (rest.Count > 1)
        {
            var done = await Task.WhenAny(rest).WaitAsync(TimeSpan.FromSeconds(10));
            rest.Remove(done);
            Assert.StartsWith("HTTP/1.1 503", await done);
        }

        release.Release();
        Assert.All(await Task.WhenAll([first, .. rest]), s => Assert.StartsWith("HTTP/1.1 200", s));
        Assert.Equal(3L, proxy.Count(503, ResponseFlag.UO, expected: 3));
    }

    [Fact]
    public async Task With_no_more_connections_allowed_an_idle_one_to_another_endpoint_is_used()
    {
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [proxy.Answering(Ok), proxy.Answering(Ok)], c => Limit(c, connections: 1)));
        proxy.Routes(To("c"));

        for (var i = 0; i < 6; i++)
        {
            Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, t => t.EndsWith("ok", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public async Task Requests_at_a_time_are_limited()
    {
        await using var proxy = new ProxyHarness();
        var release = new SemaphoreSlim(0);
        var arrived = new SemaphoreSlim(0);
        proxy.Cluster("c", [proxy.Upstream(async s =>
        {
            await ReadHeadAsync(s);
            arrived.Release();
            await release.WaitAsync();
            await WriteAsync(s, Ok);
        })], c => Limit(c, requests: 1));
        proxy.Routes(To("c"));

        var first = proxy.ExchangeAsync(Get, t => t.EndsWith("ok", StringComparison.Ordinal));
        await arrived.WaitAsync();
        Assert.StartsWith("HTTP/1.1 503", await proxy.ExchangeAsync(Get, t => t.EndsWith("overflow", StringComparison.Ordinal)));
        release.Release();
        Assert.EndsWith("ok", await first);
    }

    [Fact]
    public async Task A_connection_is_closed_after_the_requests_it_may_carry_on_either_side()
    {
        await using var proxy = new ProxyHarness();
        var connections = 0;
        proxy.Cluster("c", [proxy.Upstream(async s =>
        {
            Interlocked.Increment(ref connections);
            while ((await ReadHeadAsync(s)).Length > 0)
            {
                await WriteAsync(s, Ok);
            }
        })], c => c.MaxRequestsPerConnection = 2);
        proxy.Routes(h => h.CommonHttpProtocolOptions = new HttpProtocolOptions { MaxRequestsPerConnection = 4 }, To("c"));

        var answer = await proxy.ExchangeAsync(Get + Get + Get + Get + Get);

        Assert.Equal(4, answer.Split("HTTP/1.1 200").Length - 1);
        Assert.EndsWith("connection: close\r\n\r\nok", answer);
        Assert.Equal(2, connections);
    }

    [Fact]
    public async Task More_connections_than_allowed_are_turned_away_with_a_reason()
    {
        await using var proxy = new ProxyHarness(new EngineOptions { Seed = 1, MaximumConnections = 3 });
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));
        var held = new List<NetworkStream>();
        for (var i = 0; i < 3; i++)
        {
            var stream = await proxy.ConnectAsync();
            await WriteAsync(stream, Get);
            await ReadAsync(stream, t => t.EndsWith("ok", StringComparison.Ordinal));
            held.Add(stream);
        }

        await using (var refused = await proxy.ConnectAsync())
        {
            Assert.Contains("503 Service Unavailable", await ReadAsync(refused, _ => false));
        }

        // The others are unharmed, and a place that becomes free is used.
        await WriteAsync(held[1], Get);
        Assert.EndsWith("ok", await ReadAsync(held[1], t => t.EndsWith("ok", StringComparison.Ordinal)));
        held[0].Dispose();
        Assert.True(SpinWait.SpinUntil(() => proxy.Engine.Workers.ActiveConnections == 2, TimeSpan.FromSeconds(5)));
        Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, t => t.EndsWith("ok", StringComparison.Ordinal)));
        held.ForEach(h => h.Dispose());
    }

    [Fact]
    public async Task Above_the_memory_limit_requests_are_refused_with_a_reason()
    {
        await using var proxy = new ProxyHarness(new EngineOptions { Seed = 1, MemoryLimit = 1 << 20 });
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));
        Assert.True(SpinWait.SpinUntil(() => proxy.Engine.IsOverloaded, TimeSpan.FromSeconds(5)));

        Assert.StartsWith("HTTP/1.1 503", await proxy.ExchangeAsync(Get, t => t.EndsWith("overloaded", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_head_that_dribbles_in_must_be_there_in_time()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(h => h.RequestHeadersTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(300)), To("c"));

        await using var stream = await proxy.ConnectAsync();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var reading = ReadAsync(stream, _ => false);
        try
        {
            foreach (var c in "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + new string('x', 1000))
            {
                await stream.WriteAsync(new[] { (byte)c });
                if (await Task.WhenAny(reading, Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System)) == reading)
                {
                    break;
                }
            }
        }
        catch (IOException)
        {
            // Let go while still dribbling.
        }

        Assert.StartsWith("HTTP/1.1 408", await reading);
        Assert.InRange(watch.ElapsedMilliseconds, 250, 5000);
    }

    [Fact]
    public async Task A_client_that_vanishes_frees_the_upstream()
    {
        await using var proxy = new ProxyHarness();
        var arrived = new SemaphoreSlim(0);
        var ended = new TaskCompletionSource();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            await ReadHeadAsync(s);
            arrived.Release();
            _ = await s.ReadAsync(new byte[1]);
            ended.SetResult();
        })]));
        proxy.Routes(To("c"));

        var stream = await proxy.ConnectAsync();
        await WriteAsync(stream, Get);
        await arrived.WaitAsync();
        stream.Socket.LingerState = new LingerOption(true, 0);
        stream.Dispose();

        await ended.Task.WaitAsync(TimeSpan.FromSeconds(5));
        Assert.Equal(1, proxy.Count(0, ResponseFlag.DC));
    }
}
