using System.Text;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Content that was kept, and is sent again because the first connection has not processed the request.</summary>
public class ReplayTests
{
    const int FirstPart = 8000;
    const int Window = 1000;

    static readonly string Content = string.Concat(Enumerable.Range(0, 3000).Select(i => $"{i:d4}"));

    /// <summary>
    /// Refuses the first connection when it has read the first part of the content; on the second, begins to answer when its small window is
    /// full, and reads the content to its end once the client knows of the answer.
    /// </summary>
    static int Refusing(ProxyHarness proxy, string status, Task clientKnows, TaskCompletionSource isOpen, TaskCompletionSource<string> received)
    {
        var count = 0;
        return proxy.Upstream(async stream =>
        {
            var isFirst = Interlocked.Increment(ref count) == 1;
            var peer = await AcceptAsync(stream, isFirst ? [] : [(SettingId.InitialWindowSize, (uint)Window)]);
            var text = new StringBuilder();
            while (await peer.ReadAsync() is { } frame)
            {
                if (frame.Type != FrameType.Data)
                {
                    continue;
                }

                text.Append(Encoding.ASCII.GetString(frame.Payload));
                if (isFirst && text.Length == FirstPart)
                {
                    await peer.SendAsync(GoAway(0));
                    return;
                }

                if (!isFirst && text.Length == Window)
                {
                    await peer.SendAsync(Head(frame.Stream, false, $":status: {status}"));
                    await clientKnows;
                    await peer.SendAsync(WindowUpdate(frame.Stream, 100_000));
                    isOpen.SetResult();
                }

                if ((frame.Header.Flags & FrameFlags.EndStream) != 0)
                {
                    received.SetResult(text.ToString());
                    await peer.SendAsync(status == "103" ? Head(frame.Stream, true, ":status: 200") : Data(frame.Stream, "fine", ends: true));
                    return;
                }
            }
        });
    }

    [Theory]
    [InlineData("103", false)]
    [InlineData("103", true)]
    [InlineData("200", false)]
    [InlineData("200", true)]
    public async Task Content_is_sent_again_whole_though_the_answer_begins_meanwhile(string status, bool chunked)
    {
        var clientKnows = new TaskCompletionSource();
        var isOpen = new TaskCompletionSource();
        var received = new TaskCompletionSource<string>();
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [Refusing(proxy, status, clientKnows.Task, isOpen, received)], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var client = await proxy.ConnectAsync();
        Task SendAsync(string text, string end) => ProxyHarness.WriteAsync(client, chunked ? $"{text.Length:x}\r\n{text}\r\n{end}" : text);

        await ProxyHarness.WriteAsync(client, $"POST / HTTP/1.1\r\nHost: a\r\n{(chunked ? "Transfer-Encoding: chunked" : $"Content-Length: {Content.Length}")}\r\n\r\n");
        await SendAsync(Content[..FirstPart], "");
        Assert.StartsWith($"HTTP/1.1 {status} ", await ProxyHarness.ReadAsync(client, t => t.EndsWith("\r\n\r\n", StringComparison.Ordinal)), StringComparison.Ordinal);
        clientKnows.SetResult();
        await isOpen.Task.WaitAsync(TimeSpan.FromSeconds(10));
        await SendAsync(Content[FirstPart..], "0\r\n\r\n");

        Assert.Equal(Content, await received.Task.WaitAsync(TimeSpan.FromSeconds(10)));
    }
}
