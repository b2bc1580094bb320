using System.Diagnostics;
using System.Threading.Tasks.Sources;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Bench;

/// <summary>
/// When clients' next requests are due, to within a turn of the loop. While anybody waits the loop does not sleep: timers of the wheel
/// are too coarse for latencies, and waking a sleeping core would be accounted to the proxy that sends to it. Looking costs one
/// comparison a turn, however many clients there are.
/// </summary>
sealed class Schedule(EventLoop loop) : LoopHandler
{
    readonly PriorityQueue<Pause, long> pauses = new();

    internal void Add(Pause pause, long ticks)
    {
        pauses.Enqueue(pause, ticks);
        loop.Defer(this);
    }

    public override void OnReady()
    {
        var now = Stopwatch.GetTimestamp();
        while (pauses.TryPeek(out var pause, out var due) && due <= now)
        {
            pauses.Dequeue();
            pause.Complete();
        }

        if (pauses.Count > 0)
        {
            loop.Defer(this);
        }
    }

    public override void OnDue()
    {
        // It has no deadline of the wheel.
    }

    public override void Abandon() => loop.Defer(this);
}

/// <summary>One client's wait for its next request, used again and again.</summary>
sealed class Pause(Schedule schedule) : IValueTaskSource<int>
{
    ManualResetValueTaskSourceCore<int> core;

    /// <summary>Waits until a time of <see cref="Stopwatch"/>.</summary>
    public ValueTask<int> UntilAsync(long ticks)
    {
        if (Stopwatch.GetTimestamp() >= ticks)
        {
            return new ValueTask<int>(0);
        }

        core.Reset();
        schedule.Add(this, ticks);
        return new ValueTask<int>(this, core.Version);
    }

    internal void Complete() => core.SetResult(0);

    int IValueTaskSource<int>.GetResult(short token) => core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => core.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        core.OnCompleted(continuation, state, token, flags & ~(ValueTaskSourceOnCompletedFlags.UseSchedulingContext | ValueTaskSourceOnCompletedFlags.FlowExecutionContext));
}
