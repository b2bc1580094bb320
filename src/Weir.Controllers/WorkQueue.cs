namespace Weir.Controllers;

/// <summary>
/// A queue of keys. A key waits at most once, and is never worked on twice at the same time: added while in work, it comes again
/// afterwards. Its size is bounded by the number of keys there are.
/// </summary>
public sealed class WorkQueue<TKey>(TimeProvider time)
    where TKey : notnull
{
    static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(50);
    static readonly TimeSpan MaximumBackoff = TimeSpan.FromSeconds(30);

    readonly Lock gate = new();
    readonly Queue<TKey> ready = [];
    readonly HashSet<TKey> dirty = [];
    readonly HashSet<TKey> working = [];
    readonly Dictionary<TKey, (ITimer Timer, DateTimeOffset Due)> delayed = [];
    readonly Dictionary<TKey, int> failures = [];
    readonly SemaphoreSlim available = new(0);

    public void Add(TKey key)
    {
        lock (gate)
        {
            Add_NeedsLock(key);
        }
    }

    /// <summary>Adds the key later; an earlier time that is already set stays.</summary>
    public void AddAfter(TKey key, TimeSpan delay)
    {
        lock (gate)
        {
            var due = time.GetUtcNow() + delay;
            if (delayed.TryGetValue(key, out var pending))
            {
                if (pending.Due <= due)
                {
                    return;
                }

                pending.Timer.Dispose();
            }

            delayed[key] = (time.CreateTimer(_ => OnDue(key), null, delay, Timeout.InfiniteTimeSpan), due);
        }
    }

    /// <summary>Waits for a key and marks it as in work until <see cref="Done"/>.</summary>
    public async Task<TKey> TakeAsync(CancellationToken cancel)
    {
        await available.WaitAsync(cancel);
        lock (gate)
        {
            var key = ready.Dequeue();
            dirty.Remove(key);
            working.Add(key);
            return key;
        }
    }

    /// <summary>Ends the work on a key; after a failure it comes back, later each time.</summary>
    public void Done(TKey key, bool failed)
    {
        TimeSpan? backoff = null;
        lock (gate)
        {
            working.Remove(key);
            if (failed)
            {
                var count = failures[key] = failures.GetValueOrDefault(key) + 1;
                backoff = TimeSpan.FromTicks(Math.Min(MaximumBackoff.Ticks, FirstBackoff.Ticks << Math.Min(count - 1, 20)));
            }
            else
            {
                failures.Remove(key);
            }

            if (dirty.Remove(key))
            {
                Add_NeedsLock(key);
            }
        }

        if (backoff is { } delay)
        {
            AddAfter(key, delay);
        }
    }

    void OnDue(TKey key)
    {
        lock (gate)
        {
            if (delayed.Remove(key, out var entry))
            {
                entry.Timer.Dispose();
                Add_NeedsLock(key);
            }
        }
    }

    void Add_NeedsLock(TKey key)
    {
        if (dirty.Add(key) && !working.Contains(key))
        {
            ready.Enqueue(key);
            available.Release();
        }
    }
}
