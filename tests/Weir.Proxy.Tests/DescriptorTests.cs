using Weir.Proxy.Overload;

namespace Weir.Proxy.Tests;

public class DescriptorTests
{
    [Theory]
    [InlineData(64, 32, 32, 56)]
    [InlineData(1024, 512, 512, 896)]
    [InlineData(20_000, 2048, 17_952, 19_488)]
    public void Clients_leave_some_for_upstreams_and_both_leave_some_for_the_proxy(long limit, long reserved, long clients, long upstreams)
    {
        var budget = DescriptorBudget.For(limit);

        Assert.Equal((reserved, clients, upstreams), (budget.Reserved, budget.ForClients, budget.ForUpstreams));
    }

    [Fact]
    public void Loops_share_it_out_evenly()
    {
        var all = DescriptorBudget.For(100_001);

        Assert.True(all.PerLoop(4).ForClients * 4 <= all.ForClients);
        Assert.Equal(25_000, all.PerLoop(4).Limit);
    }

    /// <summary>Requests then fail by themselves, and the proxy's own pages can still be asked.</summary>
    [Fact]
    public async Task Connections_to_upstreams_leave_some_for_the_proxy()
    {
        // One loop: 32 for clients, 56 with upstreams.
        await using var proxy = new ProxyHarness(new Listeners.EngineOptions { Seed = 1, DescriptorLimit = 64 });
        var slow = proxy.Upstream(async s =>
        {
            await ProxyHarness.ReadHeadAsync(s);
            await ProxyHarness.ReadHeadAsync(s);
        });
        Assert.Null(proxy.Cluster("c", [slow], _ => { }));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var client = await Http2.RawPeer.ConnectAsync(proxy);
        await client.SendAsync([.. Enumerable.Range(0, 80).Select(i => Http2.RawPeer.Get((2 * i) + 1))]);

        var refused = await client.ReadUntilAsync(f => f.Type == Proxy.Http2.FrameType.Headers);

        Assert.True(refused.Stream > 1);
        Assert.True(proxy.Engine.Workers.Descriptors <= 56, $"{proxy.Engine.Workers.Descriptors} descriptors");
    }

    [Fact]
    public void The_memory_in_use_is_read_again_and_again_from_one_open_file()
    {
        using var memory = new ResidentMemory();
        var read = Enumerable.Range(0, 100).Select(_ => memory.Read()).ToList();

        Assert.All(read, r => Assert.InRange(r!.Value, 10 << 20, 1L << 40));
        Assert.InRange(Directory.GetFiles("/proc/self/fd").Count(IsOfMemory), 1, 10);
    }

    /// <summary>Other tests open and close descriptors meanwhile.</summary>
    static bool IsOfMemory(string descriptor)
    {
        try
        {
            return File.ResolveLinkTarget(descriptor, returnFinalTarget: false)?.FullName.EndsWith("/statm", StringComparison.Ordinal) == true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    [Fact]
    public void Memory_that_cannot_be_told_is_no_failure()
    {
        var memory = new ResidentMemory();
        memory.Dispose();

        Assert.Null(memory.Read());
    }
}
