using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>
/// An attempt's place among those that wait for a connection or for a stream of one. How long it may wait is for its owner to say, who
/// gives it up.
/// </summary>
sealed class PendingAttempt(EventLoop loop, Attempt attempt) : Pending
{
    public Attempt Attempt => attempt;

    /// <summary>Goes without what it was woken for: the next is woken in its place.</summary>
    public void GiveUp()
    {
        var queue = IsDeferred ? Queue : null;
        PendingQueue.Remove(this);
        if (queue?.First is { } next)
        {
            loop.Defer(next);
        }
    }

    /// <summary>A connection may have become free.</summary>
    public override void OnReady()
    {
        // It may have been woken for what it has given up since.
        if (attempt.State == AttemptState.Waiting)
        {
            PendingQueue.Remove(this);
            attempt.OnFree();
        }
    }

    /// <summary>Sets no timer.</summary>
    public override void OnDue()
    {
    }

    public override void Abandon() => attempt.Abandon();
}
