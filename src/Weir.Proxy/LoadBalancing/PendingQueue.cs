using Weir.Proxy.Reactor;

namespace Weir.Proxy.LoadBalancing;

/// <summary>Something that waits in a <see cref="PendingQueue"/>; in one at a time.</summary>
abstract class Pending : LoopHandler
{
    internal PendingQueue? Queue;
    internal Pending? NextPending;
    internal Pending? PreviousPending;
}

/// <summary>What waits for a connection or a stream of one, in order of arrival; linked through the waiting themselves.</summary>
/// <param name="owner">Counts those in all queues of a cluster.</param>
sealed class PendingQueue(ClusterLoad owner)
{
    readonly ClusterLoad load = owner;
    Pending? last;

    public int Count { get; private set; }

    public Pending? First { get; private set; }

    /// <param name="first">Before all others: it was first already, and gets its place back.</param>
    public void Add(Pending item, bool first)
    {
        item.Queue = this;
        item.PreviousPending = first ? null : last;
        item.NextPending = first ? First : null;
        if (item.PreviousPending is { } before)
        {
            before.NextPending = item;
        }
        else
        {
            First = item;
        }

        if (item.NextPending is { } after)
        {
            after.PreviousPending = item;
        }
        else
        {
            last = item;
        }

        Count++;
        load.Pending++;
    }

    /// <summary>Takes it out of whatever queue it is in.</summary>
    public static void Remove(Pending item)
    {
        if (item.Queue is not { } queue)
        {
            return;
        }

        if (item.PreviousPending is null)
        {
            queue.First = item.NextPending;
        }
        else
        {
            item.PreviousPending.NextPending = item.NextPending;
        }

        if (item.NextPending is null)
        {
            queue.last = item.PreviousPending;
        }
        else
        {
            item.NextPending.PreviousPending = item.PreviousPending;
        }

        item.NextPending = item.PreviousPending = null;
        item.Queue = null;
        queue.Count--;
        queue.load.Pending--;
    }
}
