using Weir.Proxy.Reactor;

namespace Weir.Proxy.LoadBalancing;

/// <summary>Something that waits in a <see cref="PendingQueue"/>; in one at a time.</summary>
abstract class Pending : LoopHandler
{
    internal PendingQueue? Queue;
    internal Pending? NextPending;
    internal Pending? PreviousPending;
}

/// <summary>What waits for a connection, in order of arrival; linked through the waiting themselves.</summary>
sealed class PendingQueue
{
    Pending? last;

    public int Count { get; private set; }

    public Pending? First { get; private set; }

    public void Add(Pending item)
    {
        item.Queue = this;
        item.PreviousPending = last;
        item.NextPending = null;
        if (last is null)
        {
            First = item;
        }
        else
        {
            last.NextPending = item;
        }

        last = item;
        Count++;
    }

    /// <summary>Gives one that was first its place back.</summary>
    public void AddFirst(Pending item)
    {
        item.Queue = this;
        item.PreviousPending = null;
        item.NextPending = First;
        if (First is null)
        {
            last = item;
        }
        else
        {
            First.PreviousPending = item;
        }

        First = item;
        Count++;
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
    }
}
