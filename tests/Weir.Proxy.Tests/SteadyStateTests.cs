using System.Net;
using System.Net.Sockets;
using System.Text;
using Envoy.Config.Cluster.V3;
using Weir.Proxy.Http2;
using Weir.Proxy.Listeners;
using Weir.Proxy.Tests.Http2;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>
/// Many busy connections at once: what they need is kept for the next requests, so that after some rounds one leaves nothing for the
/// collector. How much is in use at a time differs from round to round, hence some; where spares are too few, none ever does.
/// </summary>
public class SteadyStateTests
{
    const int MaximumRounds = 40;

    /// <summary>Reading the counters costs a little itself.</summary>
    const long Nothing = 2000;

    /// <summary>Nothing is given back meanwhile.</summary>
    static ProxyHarness NewProxy() => new(new EngineOptions { Seed = 1, QuietTime = TimeSpan.FromHours(1) });

    static Action<Cluster> Speaking(Version version) => version.Major == 2 ? Http2ProxyTests.SpeakHttp2 : _ => { };

    /// <summary>Reads each request whole and answers it with so many bytes.</summary>
    static int Upstream(ProxyHarness proxy, int requestBytes, int answerBytes)
    {
        var answer = Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {answerBytes}\r\n\r\n{new string('a', answerBytes)}");
        return proxy.Upstream(async stream =>
        {
            var buffer = new byte[64 * 1024];
            while (await SkipHeadAsync(stream, buffer) is >= 0 and var extra)
            {
                for (var left = requestBytes - extra; left > 0;)
                {
                    var read = await stream.ReadAsync(buffer.AsMemory(0, Math.Min(left, buffer.Length)));
                    left = read == 0 ? 0 : left - read;
                }

                await stream.WriteAsync(answer);
            }
        });
    }

    /// <returns>How much of what follows the head has come with it; -1 at the end.</returns>
    static async Task<int> SkipHeadAsync(NetworkStream stream, byte[] buffer)
    {
        for (var held = 0; ;)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(held));
            held += read;
            if (read == 0)
            {
                return -1;
            }

            if (buffer.AsSpan(0, held).IndexOf("\r\n\r\n"u8) is >= 0 and var end)
            {
                return held - end - 4;
            }
        }
    }

    /// <summary>One connection that carries so many requests at a time.</summary>
    static Func<Task> Connection(ProxyHarness proxy, Version version, int streams, int requestBytes, int answerBytes, List<IDisposable> owned)
    {
        var client = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 1 }) { Timeout = TimeSpan.FromSeconds(20) };
        owned.Add(client);
        var body = new byte[requestBytes];
        async Task AskAsync()
        {
            using var request = new HttpRequestMessage(requestBytes > 0 ? HttpMethod.Post : HttpMethod.Get, $"http://127.0.0.1:{proxy.Port}/")
            {
                Version = version,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact,
                Content = requestBytes > 0 ? new ByteArrayContent(body) : null,
            };
            using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            await using var content = await answer.Content.ReadAsStreamAsync();
            var buffer = new byte[16 * 1024];
            var total = 0;
            for (int read; (read = await content.ReadAsync(buffer)) > 0;)
            {
                total += read;
            }

            Assert.Equal(answerBytes, total);
        }

        return () => Task.WhenAll(Enumerable.Range(0, streams).Select(_ => AskAsync()));
    }

    static async Task AssertComesToRestAsync(Func<Task>[] connections, params ProxyHarness[] proxies)
    {
        var history = new List<long>();
        var before = await AllocatedAsync(proxies);
        while (history.Count < MaximumRounds)
        {
            await Task.WhenAll(connections.Select(c => Task.Run(c)));
            var after = await AllocatedAsync(proxies);
            history.Add(after - before);
            if (after - before <= Nothing)
            {
                return;
            }

            before = after;
        }

        Assert.Fail($"bytes allocated in each round: {string.Join(", ", history)}");
    }

    static async Task<long> AllocatedAsync(ProxyHarness[] proxies)
    {
        long total = 0;
        foreach (var proxy in proxies)
        {
            total += await proxy.AllocatedByLoopAsync();
        }

        return total;
    }

    [Theory]
    [InlineData("1.1", 16, 1, 1024, 1024)]
    [InlineData("1.1", 16, 1, 64 * 1024, 64 * 1024)]
    [InlineData("1.1", 16, 1, 1024 * 1024, 1024 * 1024)]
    [InlineData("2.0", 10, 100, 0, 1024)]
    [InlineData("2.0", 8, 2, 1024 * 1024, 1024 * 1024)]
    [InlineData("2.0", 16, 4, 64 * 1024, 64 * 1024)]
    public async Task Busy_connections_of_one_version_allocate_nothing(string version, int connections, int streams, int requestBytes, int answerBytes)
    {
        await using var first = NewProxy();
        await using var second = NewProxy();
        Assert.Null(second.Clusters(("c", [Upstream(second, requestBytes, answerBytes)])));
        Assert.Null(second.Routes(To("c")));
        Assert.Null(first.Cluster("c", [second.Port], Speaking(Version.Parse(version))));
        Assert.Null(first.Routes(To("c")));
        var owned = new List<IDisposable>();

        await AssertComesToRestAsync(
            [.. Enumerable.Range(0, connections).Select(_ => Connection(first, Version.Parse(version), streams, requestBytes, answerBytes, owned))], first, second);

        owned.ForEach(o => o.Dispose());
    }

    [Theory]
    [InlineData("1.1", "2.0", 1)]
    [InlineData("2.0", "1.1", 4)]
    public async Task Bridging_versions_allocates_nothing(string client, string upstream, int streams)
    {
        const int Bytes = 256 * 1024;
        await using var first = NewProxy();
        await using var second = NewProxy();
        Assert.Null(second.Clusters(("c", [Upstream(second, Bytes, Bytes)])));
        Assert.Null(second.Routes(To("c")));
        Assert.Null(first.Cluster("c", [second.Port], Speaking(Version.Parse(upstream))));
        Assert.Null(first.Routes(To("c")));
        var owned = new List<IDisposable>();

        await AssertComesToRestAsync([.. Enumerable.Range(0, 16).Select(_ => Connection(first, Version.Parse(client), streams, Bytes, Bytes, owned))], first, second);

        owned.ForEach(o => o.Dispose());
    }

    /// <summary>Messages both ways on streams that stay open, as gRPC has them.</summary>
    [Fact]
    public async Task Long_streams_allocate_nothing_for_a_message()
    {
        await using var proxy = NewProxy();
        var port = proxy.Upstream(async stream =>
        {
            var peer = await FramePeer.AcceptAsync(stream);
            while (await peer.ReadAsync() is { } frame)
            {
                if (frame.Type == FrameType.Headers)
                {
                    await peer.AnswerAsync(frame.Stream, isEnd: false);
                }
                else if (frame.Type == FrameType.Data)
                {
                    await peer.CreditAsync(frame);
                    await peer.SendAsync(FrameType.Data, FrameFlags.None, frame.Stream, frame.Payload);
                }
            }
        });
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(To("c")));
        var clients = new List<Func<Task>>();
        for (var i = 0; i < 16; i++)
        {
            var peer = await FramePeer.ConnectAsync(proxy);
            await peer.RequestAsync(1, "/a.Service/Method", isEnd: false, method: "POST");
            clients.Add(async () =>
            {
                var message = new byte[1024];
                const int Messages = 32;
                for (var sent = 0; sent < Messages; sent++)
                {
                    await peer.SendAsync(FrameType.Data, FrameFlags.None, 1, message);
                }

                for (var left = Messages * message.Length; left > 0;)
                {
                    var frame = await peer.ExpectAsync(FrameType.Data, 1);
                    await peer.CreditAsync(frame);
                    left -= frame.Payload.Length;
                }
            });
        }

        await AssertComesToRestAsync([.. clients], proxy);
    }
}
