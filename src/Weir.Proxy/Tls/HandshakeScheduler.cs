using System.Diagnostics.CodeAnalysis;

namespace Weir.Proxy.Tls;

/// <summary>Times are milliseconds.</summary>
/// <param name="MaximumPending">Handshakes at a time: a bound on memory. Beyond it no more are accepted for a while.</param>
/// <param name="MaximumSilent">Of them, those whose peer has sent nothing.</param>
/// <param name="Patience">For so long a peer is given to send something, before its handshake may make room for another.</param>
sealed record HandshakeLimits(int MaximumPending = 8192, int MaximumSilent = 1024, int Patience = 1000)
{
    public static readonly HandshakeLimits Default = new();
}

/// <summary>
/// Which handshake goes on next, and which must go when there are too many. Pure: of one loop and one direction, clients or upstreams, so
/// that neither waits for the other. Their public-key work is done a budget at a time, in turn between sources. One that waits for us is
/// never given up; when there is no room, the one that goes is that of the greediest source that has been silent for longest, and if
/// nobody has been silent for long, the newcomer has to wait outside (<see cref="Enqueue"/>).
/// </summary>
sealed class HandshakeScheduler(HandshakeLimits limits)
{
    /// <summary>Of the greediest, looked at for one to give up.</summary>
    const int SourcesLookedAt = 16;

    readonly Dictionary<ulong, HandshakeSource> sources = [];
    readonly LinkedList<HandshakeSource> turns = new();
    readonly LinkedList<HandshakeEntry> silent = new();
    readonly SortedSet<HandshakeSource> byGreed = new(Comparer<HandshakeSource>.Create((a, b) => a.Greed != b.Greed ? b.Greed.CompareTo(a.Greed) : a.Key.CompareTo(b.Key)));
    readonly SortedSet<HandshakeEntry> byDeadline = new(Comparer<HandshakeEntry>.Create((a, b) => a.Deadline != b.Deadline ? a.Deadline.CompareTo(b.Deadline) : a.Number.CompareTo(b.Number)));
    long entered;

    public int Count => byDeadline.Count;

    public int Silent => silent.Count;

    public int Queued { get; private set; }

    /// <summary>When the next one runs out of time; <see cref="long.MaxValue"/> without any.</summary>
    public long NextDeadline => byDeadline.Min?.Deadline ?? long.MaxValue;

    /// <summary>Takes in a connection whose peer has sent nothing yet.</summary>
    /// <param name="source">Of its peer: the address, not the port.</param>
    /// <param name="shed">Another that makes room for it, no longer part of this; its connection is the caller's to close.</param>
    /// <returns>False when there is no room and nobody to give up: the caller accepts no more until there is.</returns>
    public bool Enqueue(HandshakeEntry entry, ulong source, long now, int timeoutMilliseconds, out HandshakeEntry? shed)
    {
        shed = null;
        if (Count >= limits.MaximumPending || silent.Count >= limits.MaximumSilent)
        {
            shed = Slowest(now);
            if (shed is null)
            {
                return false;
            }

            Remove(shed);
        }

        if (!sources.TryGetValue(source, out var of))
        {
            sources[source] = of = new HandshakeSource(source);
            byGreed.Add(of);
        }

        entry.Source = of;
        entry.Number = ++entered;
        entry.Deadline = now + timeoutMilliseconds;
        entry.ProgressAt = now;
        byDeadline.Add(entry);
        Enter(entry, HandshakeEntry.Stage.Silent);
        return true;
    }

    /// <summary>Whether <see cref="Enqueue"/> would find somebody to give up.</summary>
    public bool CanShed(long now) => Slowest(now) is not null;

    /// <summary>The peer has sent something, or can be written to: a step of this cost waits for its turn.</summary>
    public void Ready(HandshakeEntry entry, int cost, long now)
    {
        entry.Cost = cost;
        entry.ProgressAt = now;
        Enter(entry, HandshakeEntry.Stage.Queued);
    }

    /// <summary>The next one to do a step of. It is followed by <see cref="Await"/>, <see cref="Ready"/> or <see cref="Remove"/>.</summary>
    /// <param name="budget">Of cost in this turn. Whatever is left of it is enough for one more, so that no step is too costly to be done.</param>
    public bool TryDequeue(ref int budget, [NotNullWhen(true)] out HandshakeEntry? entry)
    {
        entry = budget > 0 && turns.First is { Value: var source } ? source.Queued.First!.Value : null;
        if (entry is null)
        {
            return false;
        }

        budget -= entry.Cost;
        Enter(entry, HandshakeEntry.Stage.Running);
        if (entry.Source!.Queued.Count > 0)
        {
            // The others are next.
            turns.Remove(entry.Source.InTurns);
            turns.AddLast(entry.Source.InTurns);
        }

        return true;
    }

    /// <summary>After a step: the peer must send more.</summary>
    public void Await(HandshakeEntry entry) => Enter(entry, HandshakeEntry.Stage.Waiting);

    /// <summary>It is done or has failed. One that is not here is none's concern.</summary>
    public void Remove(HandshakeEntry entry)
    {
        if (entry.Source is not { } source)
        {
            return;
        }

        Enter(entry, HandshakeEntry.Stage.None);
        byDeadline.Remove(entry);
        entry.Source = null;
        if (source.IsEmpty)
        {
            byGreed.Remove(source);
            sources.Remove(source.Key);
        }
    }

    /// <summary>One that has run out of time, whether it waits for its peer or for us; no longer part of this.</summary>
    public bool Expire(long now, [NotNullWhen(true)] out HandshakeEntry? expired)
    {
        expired = byDeadline.Min is { } first && first.Deadline <= now ? first : null;
        if (expired is null)
        {
            return false;
        }

        Remove(expired);
        return true;
    }

    /// <summary>Whom to give up: what waits for its peer without progress for too long, first of those who hold most.</summary>
    HandshakeEntry? Slowest(long now)
    {
        foreach (var source in byGreed.Take(SourcesLookedAt))
        {
            var found = Overdue(source.Silent.First?.Value, now);
            if (found is null && silent.Count < limits.MaximumSilent)
            {
                found = Overdue(source.Waiting.First?.Value, now);
            }

            if (found is not null)
            {
                return found;
            }
        }

        return Overdue(silent.First?.Value, now);
    }

    HandshakeEntry? Overdue(HandshakeEntry? entry, long now) => entry is not null && now - entry.ProgressAt >= limits.Patience ? entry : null;

    /// <summary>The only place where an entry changes its stage: its lists, and its source's place in the order of greed, change with it.</summary>
    void Enter(HandshakeEntry entry, HandshakeEntry.Stage next)
    {
        var source = entry.Source!;
        Leave(entry, source);
        entry.At = next;
        switch (next)
        {
            case HandshakeEntry.Stage.Silent:
                source.Silent.AddLast(entry.InStage);
                silent.AddLast(entry.InSilence);
                break;
            case HandshakeEntry.Stage.Waiting:
                source.Waiting.AddLast(entry.InStage);
                break;
            case HandshakeEntry.Stage.Queued:
                if (source.Queued.Count == 0)
                {
                    turns.AddLast(source.InTurns);
                }

                source.Queued.AddLast(entry.InStage);
                Queued++;
                break;
            case HandshakeEntry.Stage.Running:
                source.Running++;
                break;
        }

        if (source.Greed != source.OfPeers)
        {
            byGreed.Remove(source);
            source.Greed = source.OfPeers;
            byGreed.Add(source);
        }
    }

    void Leave(HandshakeEntry entry, HandshakeSource source)
    {
        switch (entry.At)
        {
            case HandshakeEntry.Stage.Silent:
                source.Silent.Remove(entry.InStage);
                silent.Remove(entry.InSilence);
                break;
            case HandshakeEntry.Stage.Waiting:
                source.Waiting.Remove(entry.InStage);
                break;
            case HandshakeEntry.Stage.Queued:
                source.Queued.Remove(entry.InStage);
                Queued--;
                if (source.Queued.Count == 0)
                {
                    turns.Remove(source.InTurns);
                }

                break;
            case HandshakeEntry.Stage.Running:
                source.Running--;
                break;
        }
    }
}
