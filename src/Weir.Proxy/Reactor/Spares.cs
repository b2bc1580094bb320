namespace Weir.Proxy.Reactor;

/// <summary>Things kept to be used again, up to a number; what keeps them grows with them. Of one loop.</summary>
sealed class Spares<T>(int most)
    where T : class
{
    const int FirstSlots = 16;

    Slot[] free = [];
    int count;

    /// <summary>The fewest that were free since the last trimming: so many nobody needed.</summary>
    int unused;

    /// <summary>Spares the type check that storing into an array of references costs.</summary>
    struct Slot
    {
        public T? Item;
    }

    public T? TryTake()
    {
        if (count == 0)
        {
            return null;
        }

        ref var slot = ref free[--count];
        var item = slot.Item;
        slot.Item = null;
        unused = Math.Min(unused, count);
        return item;
    }

    /// <returns>False when there are enough: then it is not kept.</returns>
    public bool TryPut(T item)
    {
        if (count == free.Length)
        {
            if (count >= most)
            {
                return false;
            }

            Array.Resize(ref free, Math.Min(Math.Max(FirstSlots, count * 2), most));
        }

        free[count++].Item = item;
        return true;
    }

    /// <summary>Lets go of those that nobody has needed since the last time.</summary>
    public void Trim()
    {
        for (; unused > 0; unused--)
        {
            free[--count].Item = null;
        }

        unused = count;
    }
}
