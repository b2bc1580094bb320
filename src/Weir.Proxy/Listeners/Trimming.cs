using Weir.Proxy.Reactor;

namespace Weir.Proxy.Listeners;

/// <summary>Looks now and then at what a worker no longer needs, and says when its loop has become quiet.</summary>
sealed class Trimming(Worker worker, TimeSpan quietTime) : TimerEntry
{
    /// <summary>Turns in a second up to which a loop is quiet: it wakes by itself about once, and for metrics that are fetched.</summary>
    const int QuietTurns = 20;

    readonly int milliseconds = (int)quietTime.TotalMilliseconds;
    long turns;
    bool isQuiet = true;

    public void Begin() => OnDue();

    public override void OnDue()
    {
        worker.Trim();
        var loop = worker.Loop;
        var wasQuiet = isQuiet;
        isQuiet = (loop.Turn - turns) * 1000 <= (long)QuietTurns * milliseconds;
        turns = loop.Turn;
        if (isQuiet && !wasQuiet)
        {
            worker.Owner.OnQuiet();
        }

        loop.Timers.Set(this, loop.Now + milliseconds);
    }
}
