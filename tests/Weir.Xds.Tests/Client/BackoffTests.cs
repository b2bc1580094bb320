using Weir.Xds.Transport;

namespace Weir.Xds.Tests.Client;

public sealed class BackoffTests
{
    /// <summary>Notes how long it is waited for, and lets that time pass at once.</summary>
    sealed class ImpatientTime : TimeProvider
    {
        public List<TimeSpan> Waits { get; } = [];
        public TaskCompletionSource Enough { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            // A limit of connecting is no wait.
            if (dueTime == TimeSpan.FromSeconds(10))
            {
                return System.CreateTimer(callback, state, dueTime, period);
            }

            Waits.Add(dueTime);
            if (Waits.Count == 20)
            {
                Enough.SetResult();
            }

            return System.CreateTimer(callback, state, Waits.Count < 20 ? TimeSpan.Zero : Timeout.InfiniteTimeSpan, period);
        }
    }

    [Fact]
    public async Task Waits_double_up_to_their_bound_and_are_spread()
    {
        var time = new ImpatientTime();
        await using var run = new ClientRun(new XdsServer([XdsAddress.Unix("/nonexistent/a"), XdsAddress.Unix("/nonexistent/b")], null, "x"), time: time);
        await time.Enough.Task.WaitAsync(TimeSpan.FromSeconds(30));

        var whole = new[] { 50, 100, 200, 400, 800, 1600 }.Concat(Enumerable.Repeat(2000, 14)).ToList();
        Assert.All(time.Waits.Zip(whole), w => Assert.InRange(w.First.TotalMilliseconds, w.Second / 2.0 - 1, w.Second));
        Assert.True(time.Waits.Skip(6).Distinct().Count() > 10, "the waits are not spread");
        Assert.Equal(["there is no socket /nonexistent/a", "there is no socket /nonexistent/b"], run.Log.Lines.Take(2).Select(l => l["control plane: ".Length..]));
    }
}
