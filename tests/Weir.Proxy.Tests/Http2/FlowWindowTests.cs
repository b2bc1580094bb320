using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class FlowWindowTests
{
    [Fact]
    public void A_window_grows_to_its_maximum_and_not_beyond()
    {
        var window = new FlowWindow(FlowWindow.DefaultSize);
        Assert.True(window.TryAdd(FlowWindow.Maximum - FlowWindow.DefaultSize));
        Assert.Equal(FlowWindow.Maximum, window.Available);
        Assert.False(window.TryAdd(1));
        Assert.Equal(FlowWindow.Maximum, window.Size);
        Assert.False(window.TryAdjust(FlowWindow.Maximum));
    }

    [Fact]
    public void What_is_taken_is_no_more_than_there_is()
    {
        var window = new FlowWindow(10);
        Assert.False(window.TryTake(11));
        Assert.True(window.TryTake(4));
        Assert.True(window.TryTake(6));
        Assert.True(window.TryTake(0));
        Assert.False(window.TryTake(1));
        Assert.Equal(0, window.Size);
    }

    [Fact]
    public void A_lowered_initial_size_makes_it_negative_until_it_is_made_up_for()
    {
        var window = new FlowWindow(60_000);
        Assert.True(window.TryTake(60_000));

        // The example of RFC 9113 section 6.9.2, with other numbers.
        Assert.True(window.TryAdjust(16_384 - 60_000));
        Assert.Equal((-43_616, 0), (window.Size, window.Available));
        Assert.True(window.TryTake(0));
        Assert.False(window.TryTake(1));

        Assert.True(window.TryAdd(43_617));
        Assert.Equal(1, window.Available);
    }

    [Fact]
    public void The_widest_swings_of_the_initial_size_stay_within_bounds()
    {
        var window = new FlowWindow(FlowWindow.Maximum);
        Assert.True(window.TryTake(FlowWindow.Maximum));
        Assert.True(window.TryAdjust(-FlowWindow.Maximum));
        Assert.Equal(-FlowWindow.Maximum, window.Size);
        Assert.False(window.TryAdjust(-2));
        Assert.True(window.TryAdjust(FlowWindow.Maximum));
        Assert.Equal(0, window.Size);
    }
}
