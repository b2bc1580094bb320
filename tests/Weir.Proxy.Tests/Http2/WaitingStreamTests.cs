using Weir.Proxy.Http2;
using Weir.Proxy.Listeners;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What a stream costs that waits for its answer: its head, and the objects of both sides.</summary>
[Collection(MeasuresMemory.Name)]
public class WaitingStreamTests
{
    const int Connections = 10;
    const int Streams = 100;

    /// <summary>A small block for the head and the objects of both sides.</summary>
    const int MostBytes = 6 * 1024;

    [Fact]
    public async Task A_stream_that_waits_holds_little()
    {
        await using var proxy = new ProxyHarness(new EngineOptions { Seed = 1, QuietTime = TimeSpan.FromHours(1) });
        var arrived = new SemaphoreSlim(0);
        var port = proxy.Upstream(async stream =>
        {
            var peer = await FramePeer.AcceptAsync(stream);
            while (await peer.ReadAsync() is { } frame)
            {
                if (frame.Type == FrameType.Headers)
                {
                    arrived.Release();
                }
            }
        });
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(To("c")));
        var peers = new List<FramePeer>();
        for (var i = 0; i < Connections; i++)
        {
            peers.Add(await FramePeer.ConnectAsync(proxy));
        }

        var before = await proxy.AllocatedByLoopAsync();
        for (var i = 0; i < Connections * Streams; i++)
        {
            await peers[i % Connections].RequestAsync((i / Connections * 2) + 1);
            Assert.True(await arrived.WaitAsync(TimeSpan.FromSeconds(10)), $"{i} requests have come");
        }

        // All that was made for them is still in use.
        var each = (await proxy.AllocatedByLoopAsync() - before) / (Connections * Streams);
        Assert.InRange(each, 0, MostBytes);
    }
}
