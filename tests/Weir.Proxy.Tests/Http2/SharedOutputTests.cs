using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;
using static Weir.Proxy.Tests.Http2.ScriptedUpstream;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What an upstream says of one request does nothing to the others of its client's connection.</summary>
public class SharedOutputTests
{
    [Fact]
    public async Task Interim_answers_of_one_upstream_do_not_end_the_requests_of_others()
    {
        var value = new string('x', 30_000);
        await using var proxy = new ProxyHarness();
        var held = new TaskCompletionSource();
        var noisy = proxy.Upstream(async stream =>
        {
            await ProxyHarness.ReadHeadAsync(stream);
            var early = $"HTTP/1.1 103 Early Hints\r\nlink: {value}\r\n\r\n";
            await ProxyHarness.WriteAsync(stream, string.Concat(Enumerable.Repeat(early, 200)) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        var quiet = proxy.Upstream(async stream =>
        {
            await ProxyHarness.ReadHeadAsync(stream);
            await held.Task;
            await ProxyHarness.WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        proxy.Clusters(("noisy", [noisy]), ("quiet", [quiet]));
        var to = ProxyHarness.To("noisy");
        to.Match.Prefix = "/noisy";
        Assert.Null(proxy.Routes(to, ProxyHarness.To("quiet")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync(Get(1, "/quiet"), Get(3, "/noisy"));
        var last = "";
        while (await client.ReadAsync() is { } frame)
        {
            last = $"{frame.Type} {frame.Stream}";
            if (frame.Stream == 3 && frame.Header.IsEndStream)
            {
                held.TrySetResult();
            }

            if (frame.Stream == 1 && frame.Header.IsEndStream)
            {
                return;
            }
        }

        Assert.Fail($"the connection ended before the quiet one answered; last came {last}\n{proxy.LogText}");
    }

    /// <summary>Clients share an upstream's connection: what one asks does nothing to what another has asked.</summary>
    [Fact]
    public async Task Large_heads_of_one_client_do_not_end_the_requests_of_others()
    {
        var release = new TaskCompletionSource();
        var arrived = new TaskCompletionSource();
        await using var proxy = Serve(p => p.Upstream(async stream =>
        {
            stream.Socket.ReceiveBufferSize = 4096;
            var peer = await AcceptAsync(stream);
            await peer.ReadUntilAsync(FrameType.Headers, 1);
            arrived.SetResult();

            // It reads nothing for a moment.
            await release.Task;
            await AnswerAsync(peer, 1);
            while (await peer.ReadAsync() is not null)
            {
            }
        }));
        var victim = AskAsync(proxy);
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(5));
        var others = new List<RawPeer>();
        for (var i = 0; i < 8; i++)
        {
            others.Add(await ConnectAsync(proxy));
        }

        // What they send comes in one turn of the loop.
        var go = new ManualResetEventSlim();
        proxy.Engine.Post(0, () => go.Wait(5000));
        var head = new string('x', 3900);
        await Task.WhenAll(others.Select(async other =>
        {
            for (var i = 0; i < 12; i++)
            {
                await other.SendAsync([.. Split((2 * i) + 1, [.. Enumerable.Range(0, 12).Select(n => $"x-{n}: {i}{head}")])]);
            }
        })).WaitAsync(TimeSpan.FromSeconds(3)).ContinueWith(_ => go.Set(), TaskScheduler.Default);
        await others[0].OutcomeAsync(false);
        release.SetResult();
        Assert.Equal("200 fine", await victim);
    }

    /// <summary>A client that does not read for a moment while large heads come for it.</summary>
    [Fact]
    public async Task Large_heads_of_many_answers_do_not_end_the_connection()
    {
        var value = new string('x', 30_000);
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            while ((await ProxyHarness.ReadHeadAsync(stream)).Length > 0)
            {
                await ProxyHarness.WriteAsync(stream, $"HTTP/1.1 200 OK\r\nset-cookie: a={value}\r\nContent-Length: 0\r\n\r\n");
            }
        });
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync([.. Enumerable.Range(0, 100).Select(i => Get((2 * i) + 1))]);

        // It reads once all have been answered.
        proxy.Count(200, 0, 100);
        var answered = 0;
        while (answered < 100 && await client.ReadAsync() is { } frame)
        {
            answered += frame.Type is FrameType.Headers or FrameType.Continuation && (frame.Header.Flags & FrameFlags.EndHeaders) != 0 ? 1 : 0;
        }

        Assert.True(answered == 100, $"{answered} of 100\n{proxy.LogText}");
    }

    /// <summary>An upstream may say a thousand of them, also to a client that does not read them at once.</summary>
    [Fact]
    public async Task Interim_answers_that_wait_count_as_well()
    {
        var all = new TaskCompletionSource();
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            var early = Head(id, false, ":status: 103", $"link: {new string('x', 12_000)}");
            for (var i = 0; i < 3000; i++)
            {
                await peer.SendAsync(early);
            }

            await AnswerAsync(peer, id);
            all.SetResult();
            return true;
        }));
        await using var client = await proxy.ConnectAsync();
        await ProxyHarness.WriteAsync(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        await Task.WhenAny(all.Task.WaitAsync(TimeSpan.FromSeconds(15)));
        var answer = await ProxyHarness.ReadAsync(client, _ => false);
        var (interims, isFine) = (answer.Split("HTTP/1.1 103").Length - 1, answer.Contains("HTTP/1.1 200", StringComparison.Ordinal));
        Assert.False(isFine, $"3000 were said, {interims} have come, and then 200");
    }

    static IEnumerable<byte[]> Split(int id, string[] fields)
    {
        var block = Block([.. RawPeer.Request("GET", "/"), .. fields]);
        for (var at = 0; at < block.Length; at += 16_000)
        {
            var piece = block[at..Math.Min(block.Length, at + 16_000)];
            var isLast = at + piece.Length == block.Length;
            yield return at == 0 ? Frame(FrameType.Headers, FrameFlags.EndStream | (isLast ? FrameFlags.EndHeaders : 0), id, piece)
                : Frame(FrameType.Continuation, isLast ? FrameFlags.EndHeaders : 0, id, piece);
        }
    }
}
