using Weir.Proxy.Tls;

namespace Weir.Proxy.Tests;

public class VerifiedChainsTests
{
    const long Hour = 3600_000;

    [Fact]
    public void A_chain_is_known_byte_for_byte()
    {
        var chains = new VerifiedChains();
        chains.Add([1, 2, 3], 0, Hour);

        Assert.True(chains.Contains([1, 2, 3], 1));
        Assert.False(chains.Contains([1, 2, 4], 1));
        Assert.False(chains.Contains([1, 2], 1));
        Assert.False(chains.Contains([], 1));
    }

    [Theory]
    [InlineData(1000, 999, true)]
    [InlineData(1000, 1000, false)]
    [InlineData(100 * Hour, Hour - 1, true)]
    [InlineData(100 * Hour, Hour, false)]
    public void It_is_known_until_its_first_certificate_ends_and_no_longer_than_an_hour(long left, long later, bool known)
    {
        var chains = new VerifiedChains();
        chains.Add([1], 5, left);

        Assert.Equal(known, chains.Contains([1], 5 + later));
    }

    [Fact]
    public void No_more_are_kept_than_a_bound()
    {
        var chains = new VerifiedChains();
        for (var i = 0; i < 5000; i++)
        {
            chains.Add(BitConverter.GetBytes(i), 0, Hour);
        }

        Assert.InRange(Enumerable.Range(0, 5000).Count(i => chains.Contains(BitConverter.GetBytes(i), 1)), 1, 1024);
        Assert.True(chains.Contains(BitConverter.GetBytes(4999), 1));
    }
}
