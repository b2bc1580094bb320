using Weir.Proxy.Http;

namespace Weir.Proxy.Http2;

/// <summary>
/// Until when a client's connection may go on as it is. Two deadlines: for the beginning, or a frame or head that has begun; and for a
/// connection without requests, which has as long as an answer may rest while the end of one is still to be written. Each runs from when that began:
/// what else the client sends meanwhile puts it off no further.
/// </summary>
struct ServerDeadlines(ServerLimits limits)
{
    long timed = long.MaxValue;
    long frameDue = long.MaxValue;
    long idleDue = long.MaxValue;
    long frame;
    int pending;

    /// <summary>The earlier one; <see cref="long.MaxValue"/> for none.</summary>
    public readonly long Next => Math.Min(frameDue, idleDue);

    /// <param name="toWrite">Bytes that wait to be written.</param>
    /// <param name="frames">How many frames have come, with the one that has begun.</param>
    /// <returns>Whether <see cref="Next"/> is another than before.</returns>
    public bool Change(long now, bool hasBegun, bool isServing, int toWrite, bool isInFrame, long frames)
    {
        if (hasBegun && !isInFrame)
        {
            frameDue = long.MaxValue;
        }
        else if (frameDue == long.MaxValue || (hasBegun && frames != frame))
        {
            (frameDue, frame) = (In(now, limits.HeadMilliseconds), frames);
        }

        if (!hasBegun || isServing)
        {
            idleDue = long.MaxValue;
        }
        else if (idleDue == long.MaxValue || toWrite != pending)
        {
            (idleDue, pending) = (In(now, toWrite > 0 ? limits.StreamIdleMilliseconds : limits.ConnectionIdleMilliseconds), toWrite);
        }

        var isChanged = Next != timed;
        timed = Next;
        return isChanged;
    }

    /// <summary>The timer has come.</summary>
    public bool IsDue(long now)
    {
        timed = long.MaxValue;
        return now >= Next;
    }

    static long In(long now, int milliseconds) => milliseconds > 0 ? now + milliseconds : long.MaxValue;
}
