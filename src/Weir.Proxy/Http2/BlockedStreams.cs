namespace Weir.Proxy.Http2;

/// <summary>Streams that wait for room or a window, each in its turn.</summary>
struct BlockedStreams
{
    StreamState? first;
    StreamState? last;

    public void Add(StreamState state)
    {
        if (state.IsBlocked)
        {
            return;
        }

        state.IsBlocked = true;
        state.NextBlocked = null;
        if (last is null)
        {
            first = state;
        }
        else
        {
            last.NextBlocked = state;
        }

        last = state;
    }

    /// <summary>Takes the whole list; <see cref="Next"/> goes through it, while streams may wait anew.</summary>
    public StreamState? TakeAll()
    {
        var taken = first;
        first = last = null;
        return taken;
    }

    /// <summary>Unlinks one that was taken.</summary>
    public static StreamState? Next(StreamState state)
    {
        var next = state.NextBlocked;
        state.NextBlocked = null;
        state.IsBlocked = false;
        return next;
    }
}
