namespace Weir.Proxy.Reactor;

/// <summary>A deadline that may move. Moving it later costs one store: the wheel looks again when the old time comes.</summary>
abstract class TimerEntry
{
    internal TimerEntry? Next;
    internal TimerEntry? Previous;
    internal int Position = -1;

    /// <summary>In the loop's milliseconds; <see cref="long.MaxValue"/> when there is none.</summary>
    internal long Deadline = long.MaxValue;

    public abstract void OnDue();
}

/// <summary>A hashed timing wheel: setting, moving and clearing a deadline are constant time.</summary>
sealed class TimerWheel(long now)
{
    const int Slots = 512;
    const int Resolution = 16;

    readonly TimerEntry?[] heads = new TimerEntry?[Slots];

    /// <summary>A bit for each slot that has entries, so that the loop sleeps until the next of them and not a tick longer or less.</summary>
    readonly ulong[] occupied = new ulong[Slots / 64];
    long tick = now / Resolution;
    int count;

    /// <summary>The one that is being called, or was last.</summary>
    public TimerEntry? Due { get; private set; }

    /// <summary>When the wheel next wants to be advanced.</summary>
    public long NextDue
    {
        get
        {
            if (count == 0)
            {
                return long.MaxValue;
            }

            var from = (int)((tick + 1) % Slots);
            for (var i = 0; i <= occupied.Length; i++)
            {
                var word = (from / 64 + i) % occupied.Length;
                var bits = i == 0 ? occupied[word] & (ulong.MaxValue << (from % 64)) : occupied[word];
                if (bits != 0)
                {
                    var slot = (word * 64) + System.Numerics.BitOperations.TrailingZeroCount(bits);
                    return (tick + 1 + ((slot - from + Slots) % Slots)) * Resolution;
                }
            }

            return (tick + 1) * Resolution;
        }
    }

    public void Set(TimerEntry entry, long deadline)
    {
        var isEarlier = deadline < entry.Deadline;
        entry.Deadline = deadline;
        if (entry.Position >= 0)
        {
            if (!isEarlier)
            {
                return;
            }

            Remove(entry);
        }

        Insert(entry);
    }

    /// <summary>Leaves the entry where it is; the wheel drops it when it comes by.</summary>
    public static void Clear(TimerEntry entry) => entry.Deadline = long.MaxValue;

    public void Remove(TimerEntry entry)
    {
        if (entry.Position < 0)
        {
            return;
        }

        if (entry.Previous is null)
        {
            heads[entry.Position] = entry.Next;
        }
        else
        {
            entry.Previous.Next = entry.Next;
        }

        if (entry.Next is not null)
        {
            entry.Next.Previous = entry.Previous;
        }

        if (heads[entry.Position] is null)
        {
            occupied[entry.Position / 64] &= ~(1UL << (entry.Position % 64));
        }

        entry.Next = entry.Previous = null;
        entry.Position = -1;
        count--;
    }

    public void Advance(long now)
    {
        var target = now / Resolution;
        if (target - tick > Slots)
        {
            tick = target - Slots;
        }

        while (tick < target)
        {
            tick++;

            // The slot is emptied first: callbacks may set and remove timers, also in this slot.
            var due = heads[tick % Slots];
            while (due is not null)
            {
                Remove(due);
                if (due.Deadline / Resolution <= tick)
                {
                    due.Deadline = long.MaxValue;
                    Due = due;
                    due.OnDue();
                }
                else if (due.Deadline != long.MaxValue)
                {
                    Insert(due);
                }

                due = heads[tick % Slots];
            }
        }
    }

    void Insert(TimerEntry entry)
    {
        // Further than the wheel reaches: put at its far end and looked at again there.
        var due = Math.Clamp((entry.Deadline / Resolution) + 1, tick + 1, tick + Slots - 1);
        var position = (int)(due % Slots);
        entry.Position = position;
        entry.Previous = null;
        entry.Next = heads[position];
        if (entry.Next is not null)
        {
            entry.Next.Previous = entry;
        }

        heads[position] = entry;
        occupied[position / 64] |= 1UL << (position % 64);
        count++;
    }
}
