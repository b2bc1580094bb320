using System.Diagnostics;

namespace Weir.Xds.Tests;

/// <summary>A clock that goes only when it is told to.</summary>
sealed class ManualTimeProvider : TimeProvider
{
    readonly Lock gate = new();
    readonly List<ManualTimer> timers = [];
    long now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref now);

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(GetTimestamp());

    /// <summary>Waits until somebody waits for this long, and lets that time pass.</summary>
    public async Task PassAsync(TimeSpan wait)
    {
        var limit = Stopwatch.StartNew();
        while (true)
        {
            ManualTimer? due;
            lock (gate)
            {
                due = timers.Find(t => t.DueTime == wait);
                if (due is not null)
                {
                    timers.Remove(due);
                    now += wait.Ticks;
                }
            }

            if (due is not null)
            {
                due.Fire();
                return;
            }

            Assert.True(limit.Elapsed < TimeSpan.FromSeconds(20), $"nobody waits for {wait}");
            await Task.Yield();
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    sealed class ManualTimer(ManualTimeProvider owner, TimerCallback callback, object? state) : ITimer
    {
        public TimeSpan DueTime { get; private set; }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (owner.gate)
            {
                owner.timers.Remove(this);
                DueTime = dueTime;
                if (dueTime != Timeout.InfiniteTimeSpan)
                {
                    owner.timers.Add(this);
                }
            }

            return true;
        }

        public void Dispose()
        {
            lock (owner.gate)
            {
                owner.timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
