using Weir.Proxy.LoadBalancing;


namespace Weir.Proxy.Tests;

public class WeightedScheduleTests
{
    [Theory]
    [InlineData(new uint[] { 90, 10 })]
    [InlineData(new uint[] { 50, 50 })]
    [InlineData(new uint[] { 33, 33, 34 })]
    [InlineData(new uint[] { 99, 1 })]
    [InlineData(new uint[] { 1, 2, 3, 4, 0 })]
    public void Shares_are_exact_over_every_window(uint[] weights)
    {
        var schedule = new WeightedSchedule(weights);
        var total = (double)weights.Sum(w => w);
        var picks = Enumerable.Range(0, schedule.Period * 3).Select(_ => schedule.Next()).ToArray();
        for (var start = 0; start < schedule.Period; start++)
        {
            for (var length = 1; length <= schedule.Period; length++)
            {
                for (var choice = 0; choice < weights.Length; choice++)
                {
                    var got = picks.AsSpan(start, length).Count(choice);
                    var exact = length * weights[choice] / total;
                    Assert.True(Math.Abs(got - exact) < weights.Length, $"choice {choice}: {got} of {length} from {start}, exactly {exact}");
                    if (length == schedule.Period)
                    {
                        Assert.Equal(exact, got, 9);
                    }
                }
            }
        }
    }

    [Fact]
    public void Large_weights_are_scaled_and_none_is_lost()
    {
        var schedule = new WeightedSchedule([1_000_000_007, 1]);

        Assert.InRange(schedule.Period, 1, WeightedSchedule.MaximumPeriod + 1);
        Assert.Contains(1, Enumerable.Range(0, schedule.Period).Select(_ => schedule.Next()));
    }
}
