using System.Collections.Concurrent;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Upstreams that speak HTTP/2 as a script says, and clients of HTTP/1.1 that tell what they were answered.</summary>
static class ScriptedUpstream
{
    /// <summary>Answers each request of a connection, the first as the script says.</summary>
    public static int Scripted(ProxyHarness proxy, ConcurrentQueue<int> connections, Func<RawPeer, int, int, Task<bool>> answers, params (SettingId, uint)[] settings)
    {
        var count = 0;
        return proxy.Upstream(async stream =>
        {
            var number = Interlocked.Increment(ref count);
            connections.Enqueue(number);
            var peer = await AcceptAsync(stream, settings);
            while (await peer.ReadAsync(30) is { } frame)
            {
                if (frame.Type == FrameType.Headers && !await answers(peer, number, frame.Stream))
                {
                    return;
                }
            }
        });
    }

    public static async Task<bool> AnswerAsync(RawPeer peer, int id)
    {
        await peer.SendAsync(Head(id, false, ":status: 200"), Data(id, "fine", ends: true));
        return true;
    }

    public static ProxyHarness Serve(Func<ProxyHarness, int> upstream, Action<Envoy.Config.Cluster.V3.Cluster>? configure = null, TimeSpan? timeout = null)
    {
        var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [upstream(proxy)], c =>
        {
            Http2ProxyTests.SpeakHttp2(c);
            configure?.Invoke(c);
        }));
        Assert.Null(proxy.Routes(ProxyHarness.To("c", timeout)));
        return proxy;
    }

    /// <summary>A status and the content; "cut" for content that did not come to its end, at whatever place it stopped.</summary>
    public static async Task<string> AskAsync(ProxyHarness proxy, string method = "POST")
    {
        var answer = await proxy.ExchangeAsync($"{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        var final = answer[answer.LastIndexOf("HTTP/1.1 ", StringComparison.Ordinal)..];
        var (head, body) = (final[..final.IndexOf("\r\n\r\n", StringComparison.Ordinal)], final[(final.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..]);
        var status = head.Split(' ')[1];
        if (status != "200")
        {
            return status;
        }

        var isWhole = head.Contains("chunked", StringComparison.OrdinalIgnoreCase) ? body.Contains("\r\n0\r\n", StringComparison.Ordinal) || body.StartsWith("0\r\n", StringComparison.Ordinal)
            : head.Split("content-length: ", StringSplitOptions.None) is [_, var length] ? body.Length == int.Parse(length.Split('\r')[0])
            : !body.EndsWith("<reset>", StringComparison.Ordinal);
        return !isWhole ? "200 cut" : $"200 {(body.Contains("test", StringComparison.Ordinal) ? "test" : body.Contains("fine", StringComparison.Ordinal) ? "fine" : "")}";
    }
}
