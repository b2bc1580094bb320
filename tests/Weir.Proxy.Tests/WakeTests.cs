using Envoy.Config.Cluster.V3;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>Those who wait for a connection while others become free.</summary>
public class WakeTests
{
    [Fact]
    public async Task Two_that_become_free_in_one_turn_serve_two_that_wait()
    {
        await using var proxy = new ProxyHarness();
        var over = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        var arrived = new SemaphoreSlim(0);
        var answered = new SemaphoreSlim(0);
        var port = proxy.Upstream(async stream =>
        {
            while (await ReadHeadAsync(stream) is { Length: > 0 } head)
            {
                arrived.Release();
                if (head.StartsWith("GET /first", StringComparison.Ordinal))
                {
                    await release.Task;
                    await WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                    answered.Release();
                }
                else
                {
                    // A long one.
                    await over.Task;
                }
            }
        });
        Assert.Null(proxy.Cluster("c", [port], c =>
        {
            c.CircuitBreakers = new CircuitBreakers();
            c.CircuitBreakers.Thresholds.Add(new CircuitBreakers.Types.Thresholds { MaxConnections = 2, MaxPendingRequests = 10 });
        }));
        Assert.Null(proxy.Routes(To("c")));
        var clients = new List<System.Net.Sockets.NetworkStream>();
        for (var i = 0; i < 4; i++)
        {
            clients.Add(await proxy.ConnectAsync());
        }

        for (var i = 0; i < 2; i++)
        {
            await WriteAsync(clients[i], "GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
            Assert.True(await arrived.WaitAsync(TimeSpan.FromSeconds(5)));
        }

        for (var i = 2; i < 4; i++)
        {
            await WriteAsync(clients[i], "GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
        }

        Assert.False(await arrived.WaitAsync(TimeSpan.FromMilliseconds(300)), "the limit holds");

        // Both answers come in one turn of the loop.
        var go = new ManualResetEventSlim();
        proxy.Engine.Post(0, () => go.Wait(5000));
        release.SetResult();
        await answered.WaitAsync(TimeSpan.FromSeconds(5));
        await answered.WaitAsync(TimeSpan.FromSeconds(5));
        go.Set();

        Assert.True(await arrived.WaitAsync(TimeSpan.FromSeconds(3)), "none of two is served");
        Assert.True(await arrived.WaitAsync(TimeSpan.FromSeconds(3)), "the second waits though a connection is idle");
        over.SetResult();
    }
}
