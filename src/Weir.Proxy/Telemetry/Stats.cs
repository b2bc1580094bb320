using System.Collections.Concurrent;

namespace Weir.Proxy.Telemetry;

/// <summary>
/// All series of one set of labels. Each loop adds to its own part, a whole array at a time, so that any thread may read while loops
/// count.
/// </summary>
public sealed class StatsScope(StatsLabels labels, int loops)
{
    readonly Series[][] byLoop = [.. Enumerable.Range(0, loops).Select(_ => Array.Empty<Series>())];
    readonly TcpSeries?[] tcpByLoop = new TcpSeries?[loops];

    public StatsLabels Labels { get; } = labels;

    /// <param name="grpcStatus">Null for what is not gRPC.</param>
    public Series Get(int loop, int code, ResponseFlag flag, int? grpcStatus = null)
    {
        var series = byLoop[loop];
        foreach (var candidate in series)
        {
            if (candidate.Code == code && candidate.Flag == flag && candidate.GrpcStatus == grpcStatus)
            {
                return candidate;
            }
        }

        var added = new Series(code, flag, grpcStatus);
        Volatile.Write(ref byLoop[loop], [.. series, added]);
        return added;
    }

    public TcpSeries Tcp(int loop)
    {
        if (tcpByLoop[loop] is { } known)
        {
            return known;
        }

        var added = new TcpSeries();
        Volatile.Write(ref tcpByLoop[loop], added);
        return added;
    }

    public IEnumerable<Series> All
    {
        get
        {
            for (var loop = 0; loop < byLoop.Length; loop++)
            {
                foreach (var series in Volatile.Read(ref byLoop[loop]))
                {
                    yield return series;
                }
            }
        }
    }

    public IEnumerable<TcpSeries> AllTcp
    {
        get
        {
            for (var loop = 0; loop < tcpByLoop.Length; loop++)
            {
                if (Volatile.Read(ref tcpByLoop[loop]) is { } series)
                {
                    yield return series;
                }
            }
        }
    }

    /// <summary>Changes whenever something is counted.</summary>
    internal long Activity => All.Sum(s => Volatile.Read(ref s.Count)) + AllTcp.Sum(t => Volatile.Read(ref t.Opened) + Volatile.Read(ref t.Closed) + Volatile.Read(ref t.ReceivedBytes) + Volatile.Read(ref t.SentBytes));
}

/// <summary>
/// The scopes of this proxy. They outlive changes of the configuration, so that counters do not go back; one that nothing uses any
/// more and that has counted nothing for <see cref="Retention"/> is let go. Callable from any thread.
/// </summary>
public sealed class StatsRegistry(int loops, TimeProvider? time = null)
{
    /// <summary>Sets of labels that name clients, at a time; requests of others are counted under <see cref="StatsLabels.OtherPrincipal"/>.</summary>
    public const int MaximumClients = 1000;

    /// <summary>Long enough for whoever fetches metrics to have seen the last count.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromMinutes(10);

    static readonly TimeSpan SweepInterval = TimeSpan.FromMinutes(1);

    readonly TimeProvider time = time ?? TimeProvider.System;
    readonly Lock gate = new();
    readonly ConcurrentDictionary<StatsLabels, Entry> entries = [];
    int clients;
    long clientsOverflowed;
    long sweptAt;

    /// <summary>A scope by itself, and held for as long as it counts.</summary>
    sealed class Entry(StatsScope scope, long now)
    {
        public readonly WeakReference<StatsScope> Scope = new(scope);
        public StatsScope? Held = scope;
        public long Activity = -1;
        public long ChangedAt = now;
    }

    /// <summary>Requests for a client's own scope that got the one of all others.</summary>
    public long ClientsOverflowed => Interlocked.Read(ref clientsOverflowed);

    public IEnumerable<StatsScope> All => entries.Values.Select(e => e.Scope.TryGetTarget(out var scope) ? scope : null).OfType<StatsScope>();

    public StatsScope Get(StatsLabels labels)
    {
        if (entries.TryGetValue(labels, out var entry) && entry.Scope.TryGetTarget(out var known))
        {
            return known;
        }

        lock (gate)
        {
            SweepNowAndThen_NeedsLock();
            if (entries.TryGetValue(labels, out entry) && entry.Scope.TryGetTarget(out known))
            {
                return known;
            }

            if (labels.NamesClient && entry is null)
            {
                if (clients >= MaximumClients)
                {
                    Interlocked.Increment(ref clientsOverflowed);
                    labels = labels with { SourcePrincipal = StatsLabels.OtherPrincipal };
                    if (entries.TryGetValue(labels, out entry) && entry.Scope.TryGetTarget(out known))
                    {
                        return known;
                    }
                }
                else
                {
                    clients++;
                }
            }

            var scope = new StatsScope(labels, loops);
            entries[labels] = new Entry(scope, time.GetTimestamp());
            return scope;
        }
    }

    /// <summary>Lets go of what is no longer used. Called when scopes are made and when metrics are fetched; cheap when it was called just before.</summary>
    public void Sweep()
    {
        lock (gate)
        {
            SweepNowAndThen_NeedsLock();
        }
    }

    void SweepNowAndThen_NeedsLock()
    {
        var now = time.GetTimestamp();
        if (sweptAt != 0 && time.GetElapsedTime(sweptAt, now) < SweepInterval)
        {
            return;
        }

        sweptAt = now;
        foreach (var (labels, entry) in entries)
        {
            if (!entry.Scope.TryGetTarget(out var scope))
            {
                entries.TryRemove(labels, out _);
                clients -= labels.NamesClient ? 1 : 0;
                continue;
            }

            var activity = scope.Activity;
            if (activity != entry.Activity)
            {
                (entry.Activity, entry.ChangedAt, entry.Held) = (activity, now, scope);
            }
            else if (time.GetElapsedTime(entry.ChangedAt, now) >= Retention)
            {
                // The configuration and connections may still hold it.
                entry.Held = null;
            }
        }
    }
}
