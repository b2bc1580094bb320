using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tests;

public class SparesTests
{
    [Fact]
    public void No_more_are_kept_than_allowed()
    {
        var spares = new Spares<object>(2);

        Assert.Equal((true, true, false), (spares.TryPut(1), spares.TryPut(2), spares.TryPut(3)));
        Assert.Equal((2, 1, null), ((int?)spares.TryTake(), (int?)spares.TryTake(), spares.TryTake()));
    }

    [Fact]
    public void What_nobody_needed_since_the_last_trimming_is_let_go()
    {
        var spares = new Spares<object>(8);
        for (var i = 0; i < 8; i++)
        {
            spares.TryPut(i);
        }

        // All came after the last look: nothing is known of them yet.
        spares.Trim();
        var used = new[] { spares.TryTake()!, spares.TryTake()!, spares.TryTake()! };
        Array.ForEach(used, u => spares.TryPut(u));
        spares.Trim();

        var left = 0;
        while (spares.TryTake() is not null)
        {
            left++;
        }

        Assert.Equal(3, left);
    }
}
