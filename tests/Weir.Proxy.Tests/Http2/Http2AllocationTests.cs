using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What a request with content and trailers, answered with the like, leaves for the collector: nothing.</summary>
public class Http2AllocationTests
{
    const string OldRequest = "POST /a HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n5\r\nhello\r\n0\r\nx-end: yes\r\n\r\n";
    const string OldAnswer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-end: yes\r\n\r\n";

    /// <summary>Answers each request on its connections when it has come whole.</summary>
    static int NewUpstream(ProxyHarness proxy) => proxy.Upstream(async stream =>
    {
        var peer = await FramePeer.AcceptAsync(stream);
        while (await peer.ReadAsync() is { } frame)
        {
            if (frame.IsEndStream)
            {
                await peer.AnswerAsync(frame.Stream, isEnd: false);
                await peer.DataAsync(frame.Stream, "hello");
                await peer.HeadAsync(frame.Stream, isEnd: true, ("x-end", "yes"));
            }
        }
    });

    static int OldUpstream(ProxyHarness proxy) => proxy.Upstream(async stream =>
    {
        while ((await ReadHeadAsync(stream)).Length > 0)
        {
            await ReadAsync(stream, t => t.EndsWith("yes\r\n\r\n", StringComparison.Ordinal));
            await WriteAsync(stream, OldAnswer);
        }
    });

    static async Task<Func<Task>> ClientAsync(ProxyHarness proxy, bool isNew)
    {
        if (!isNew)
        {
            var stream = await proxy.ConnectAsync();
            return async () =>
            {
                await WriteAsync(stream, OldRequest);
                Assert.StartsWith("HTTP/1.1 200", await ReadAsync(stream, t => t.EndsWith("yes\r\n\r\n", StringComparison.Ordinal)), StringComparison.Ordinal);
            };
        }

        var peer = await FramePeer.ConnectAsync(proxy);
        var next = 1;
        return async () =>
        {
            var id = next;
            next += 2;
            await peer.RequestAsync(id, "/a", isEnd: false, method: "POST");
            await peer.DataAsync(id, "hello");
            await peer.HeadAsync(id, isEnd: true, ("x-end", "yes"));
            Frame frame;
            do
            {
                frame = (await peer.ReadAsync())!;
                Assert.NotEqual(FrameType.RstStream, frame.Type);
            }
            while (!(frame.Stream == id && frame.IsEndStream));
        };
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task Steady_state_allocates_nothing_for_a_request(bool clientIsNew, bool upstreamIsNew)
    {
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [upstreamIsNew ? NewUpstream(proxy) : OldUpstream(proxy)], upstreamIsNew ? Http2ProxyTests.SpeakHttp2 : _ => { }));
        Assert.Null(proxy.Routes(To("c")));
        var ask = await ClientAsync(proxy, clientIsNew);
        async Task<long> RunAsync(int count)
        {
            for (var i = 0; i < count; i++)
            {
                await ask();
            }

            return await proxy.AllocatedByLoopAsync();
        }

        var before = await RunAsync(300);
        var after = await RunAsync(300);

        // Reading the counter itself costs a little; a request must cost nothing.
        Assert.InRange(after - before, 0, 2000);
    }
}
