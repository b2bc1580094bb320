using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Exchanges;

/// <summary>
/// The times by which an exchange, or a part of it, must be over; milliseconds of the loop. One timer serves them all: it is set to the
/// earliest, and what is really due is found out when it comes.
/// </summary>
sealed class Deadlines
{
    /// <summary>How long a client that has closed its side may take to read an answer.</summary>
    const int HalfClosedMilliseconds = 30_000;

    long total;
    long request;
    long gone;
    long lastMoved;
    int idle;
    Cause totalCause;

    /// <param name="totalMilliseconds">From the request to the end of the answer; 0 for none.</param>
    /// <param name="requestMilliseconds">For the request to come whole; 0 for none.</param>
    /// <param name="idleMilliseconds">Without anything moving; 0 for none.</param>
    public void Begin(long now, int totalMilliseconds, int requestMilliseconds, int idleMilliseconds, Cause ofTotal = Cause.RouteTimeout)
    {
        total = totalMilliseconds > 0 ? now + totalMilliseconds : long.MaxValue;
        request = requestMilliseconds > 0 ? now + requestMilliseconds : long.MaxValue;
        gone = long.MaxValue;
        idle = idleMilliseconds;
        lastMoved = now;
        totalCause = ofTotal;
    }

    /// <summary>Something has moved.</summary>
    public void Touch(long now) => lastMoved = now;

    public void RequestDone() => request = long.MaxValue;

    /// <summary>The client has closed its side: it may have gone altogether, which looks the same until something is sent.</summary>
    public void ClientHalfClosed(long now) => gone = Math.Min(gone, now + HalfClosedMilliseconds);

    public void ResponseBegun() => gone = long.MaxValue;

    /// <summary>From now on idleness ends it as well.</summary>
    public void SetIdle(long now, int idleMilliseconds) => (idle, lastMoved) = (idleMilliseconds, now);

    /// <summary>Only idleness ends a tunnel.</summary>
    public void BecomeTunnel(int idleMilliseconds)
    {
        total = request = gone = long.MaxValue;
        idle = idleMilliseconds;
    }

    /// <summary>Sees to it that <see cref="Due"/> is asked in time.</summary>
    public void SetTimer(EventLoop loop, LoopHandler owner)
    {
        if (Next is < long.MaxValue and var due && due < owner.Deadline)
        {
            loop.Timers.Set(owner, due);
        }
    }

    long Next => Math.Min(Math.Min(total, request), Math.Min(gone, idle > 0 ? lastMoved + idle : long.MaxValue));

    public Cause Due(long now) =>
        now >= total ? totalCause
        : now >= request ? Cause.RequestTimeout
        : now >= gone ? Cause.ClientGone
        : idle > 0 && now >= lastMoved + idle ? Cause.StreamIdle
        : Cause.None;
}
