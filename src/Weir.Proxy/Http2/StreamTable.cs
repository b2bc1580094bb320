namespace Weir.Proxy.Http2;

/// <summary>The streams of a connection: those that are open, what is remembered of those that were, and states for those to come.</summary>
sealed class StreamTable(int maximum)
{
    /// <summary>Of the streams that have ended on both sides, for what is said of a frame that comes on one.</summary>
    const int RememberedEnds = 64;

    /// <summary>Of the streams that we have reset, frames may be on their way for as many as can be open at a time; up to this.</summary>
    const int MaximumRememberedResets = 1024;

    /// <summary>For use by other streams, beyond what can be open at a time.</summary>
    const int MaximumSpares = 2048;

    readonly Dictionary<int, StreamState> streams = [];
    readonly Stack<StreamState> spares = new();
    RecentStreams resets = new(Math.Clamp(maximum, RememberedEnds, MaximumRememberedResets));
    RecentStreams ended = new(RememberedEnds);

    /// <summary>There may be as many again that have ended and whose content is still on its way.</summary>
    readonly int maximumSpares = (int)Math.Min(maximum * 2L, MaximumSpares);

    public int Count => streams.Count;

    public Dictionary<int, StreamState>.ValueCollection All => streams.Values;

    /// <summary>
    /// So many are open that the peer may open no more. One that both sides have ended does not count (RFC 9113 section 5.1.2), though
    /// what came by it may still be on its way; of such there may be as many again.
    /// </summary>
    public bool IsFull
    {
        get
        {
            if (streams.Count < maximum || streams.Count >= maximum * 2L)
            {
                return streams.Count >= maximum;
            }

            var open = 0;
            foreach (var state in streams.Values)
            {
                open += state.IsReceiveEnded && state.IsSendEnded ? 0 : 1;
            }

            return open >= maximum;
        }
    }

    /// <summary>The state of a stream that is over, to be used again.</summary>
    public StreamState? TryTakeSpare() => spares.TryPop(out var spare) ? spare : null;

    public void Add(StreamState state) => streams[state.Id] = state;

    /// <summary>Null as well for one that was reset, though whoever uses it may still have to let go of it.</summary>
    public StreamState? Find(int id) => streams.TryGetValue(id, out var state) && !state.IsReset ? state : null;

    /// <summary>It is this state, and not another's of the same number, that is open.</summary>
    public bool Contains(StreamState state) => streams.TryGetValue(state.Id, out var known) && ReferenceEquals(known, state);

    public bool TryRemove(StreamState state) => Contains(state) && streams.Remove(state.Id);

    /// <summary>For <see cref="TryTakeSpare"/>. One that waits to send is still linked; it is used again once it has been unlinked.</summary>
    public void Keep(StreamState state)
    {
        if (!state.IsBlocked && spares.Count < maximumSpares)
        {
            spares.Push(state);
        }
    }

    /// <summary>We have reset it.</summary>
    public void OnReset(int id) => resets.Add(id);

    /// <summary>Both sides, or the peer, have ended it.</summary>
    public void OnEnded(int id) => ended.Add(id);

    /// <summary>By us, not long ago.</summary>
    public bool WasReset(int id) => resets.Contains(id);

    /// <summary>By both sides or by the peer, not long ago.</summary>
    public bool HasEnded(int id) => ended.Contains(id);
}
