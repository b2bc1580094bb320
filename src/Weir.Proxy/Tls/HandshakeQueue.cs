using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tls;

/// <summary>
/// Handshakes of one loop in one direction, and connections that may become such. Their public-key work takes hundreds of microseconds
/// each, so only a few steps are done in one turn, and established connections are served in between. Who goes on and who has to go is
/// decided by <see cref="HandshakeScheduler"/>.
/// </summary>
sealed class HandshakeQueue(EventLoop loop, HandshakeLimits limits) : LoopHandler
{
    const int StepsPerTurn = 8;

    readonly HandshakeScheduler scheduler = new(limits);

    public EventLoop Loop => loop;

    public int Pending => scheduler.Count;

    /// <summary>There is room for one more without anybody having to go.</summary>
    public bool HasRoom => scheduler.Count < limits.MaximumPending && scheduler.Silent < limits.MaximumSilent;

    /// <summary>Somebody has been silent for so long that another may have the place.</summary>
    public bool CanMakeRoom => scheduler.CanShed(loop.Now);

    /// <summary>Takes a connection in whose peer has sent nothing yet; it is told when its time is over, or when it has to make room.</summary>
    /// <param name="source">The address of its peer.</param>
    /// <returns>False when there is no room.</returns>
    public bool TryEnter(PendingHandshake entry, uint source, int timeoutMilliseconds)
    {
        var hasEntered = scheduler.Enqueue(entry, source, loop.Now, timeoutMilliseconds, out var shed);
        ((PendingHandshake?)shed)?.GiveUp();
        SetTimer();
        return hasEntered;
    }

    /// <summary>The peer has sent something: a step is done when it is its turn.</summary>
    public void Ready(PendingHandshake entry)
    {
        if (entry.At is HandshakeEntry.Stage.Silent or HandshakeEntry.Stage.Waiting)
        {
            scheduler.Ready(entry, 1, loop.Now);
            loop.Defer(this);
        }
    }

    public void Leave(PendingHandshake entry) => scheduler.Remove(entry);

    public override void OnReady()
    {
        var budget = StepsPerTurn;
        while (scheduler.TryDequeue(ref budget, out var entry))
        {
            if (((PendingHandshake)entry).Step())
            {
                scheduler.Await(entry);
            }
        }

        if (scheduler.Queued > 0)
        {
            loop.Defer(this);
        }
    }

    void SetTimer()
    {
        if (scheduler.NextDeadline < Deadline)
        {
            loop.Timers.Set(this, scheduler.NextDeadline);
        }
    }

    public override void OnDue()
    {
        while (scheduler.Expire(loop.Now, out var expired))
        {
            ((PendingHandshake)expired).GiveUp();
        }

        SetTimer();
    }

    public override void Abandon() => loop.Defer(this);
}

/// <summary>A place in a <see cref="HandshakeQueue"/>.</summary>
abstract class PendingHandshake : HandshakeEntry
{
    /// <summary>Does one step.</summary>
    /// <returns>Whether the peer must send more; false when it is over, and has left the queue.</returns>
    public abstract bool Step();

    /// <summary>It took too long, or had to make room: no longer in the queue.</summary>
    public abstract void GiveUp();
}
