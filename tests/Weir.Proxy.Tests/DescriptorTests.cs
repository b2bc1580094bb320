using Weir.Proxy.Overload;

namespace Weir.Proxy.Tests;

public class DescriptorTests
{
    [Theory]
    [InlineData(64, 32, 32, 56, 64)]
    [InlineData(1024, 512, 512, 896, 1024)]
    [InlineData(20_000, 2048, 17_952, 19_488, 20_000)]
    public void Clients_leave_some_for_upstreams_and_both_leave_some_for_the_proxy(long limit, long reserved, long clients, long upstreams, long own)
    {
        var budget = DescriptorBudget.For(limit);

        Assert.Equal(reserved, budget.Reserved);
        foreach (var (use, ceiling) in new[] { (DescriptorUse.Client, clients), (DescriptorUse.Upstream, upstreams), (DescriptorUse.Own, own) })
        {
            Assert.True(budget.Admits(use, ceiling - 1));
            Assert.False(budget.Admits(use, ceiling));
        }
    }

    [Theory]
    [InlineData(10, 100, 0)]
    [InlineData(511, 100, 0)]
    [InlineData(512, 100, 1)]
    [InlineData(600, 100, 89)]
    [InlineData(600, 5, 5)]
    public void Idle_connections_make_room_as_far_as_there_are_any(long inUse, long idle, long closed) =>
        Assert.Equal(closed, DescriptorBudget.For(1024).IdleToClose(DescriptorUse.Client, inUse, idle));

    [Fact]
    public void Loops_share_it_out_evenly()
    {
        var all = DescriptorBudget.For(100_001);

        Assert.True(all.PerLoop(4).CeilingOf(DescriptorUse.Client) * 4 <= all.CeilingOf(DescriptorUse.Client));
        Assert.Equal(25_000, all.PerLoop(4).Limit);
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
