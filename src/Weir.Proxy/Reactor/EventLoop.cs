using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Weir.Proxy.Reactor;

/// <summary>Something that waits for events on a file descriptor, and may have a deadline.</summary>
abstract class IoHandle : TimerEntry
{
    internal int Slot = -1;

    public abstract void OnEvents(uint events);
}

/// <summary>
/// One thread, one epoll instance. Everything that belongs to a loop is touched by its thread alone; other threads reach it with
/// <see cref="Post"/>. Awaits on the loop's sockets resume here, inline.
/// </summary>
public sealed unsafe class EventLoop : IDisposable
{
    const int MaximumEvents = 256;
    const int MaximumWaitMilliseconds = 1000;
    const int MaximumTurns = 8;

    readonly int epoll;
    readonly int wakeup;
    readonly byte* events;
    readonly ConcurrentQueue<Action> posted = new();
    readonly List<IoHandle?> handles = [];
    readonly List<uint> generations = [];
    readonly Stack<int> freeSlots = [];
    readonly List<Action> afterTurn = [];
    readonly Queue<Signal> turns = [];
    readonly Queue<Signal> yielded = [];
    readonly Thread thread;
    volatile bool isStopping;
    int isAwake;

    public EventLoop(int index, TimeProvider time)
    {
        Index = index;
        Time = time;
        epoll = Native.EpollCreate(Native.EpollCloseOnExec);
        wakeup = Native.EventFd(0, Native.SockNonBlock | Native.SockCloseOnExec);
        if (epoll < 0 || wakeup < 0)
        {
            throw new IOException($"no event loop: errno {Native.Errno}");
        }

        events = (byte*)NativeMemory.Alloc((nuint)(MaximumEvents * Native.EpollEventSize));
        Register(wakeup, new Wakeup(this), Native.EpollIn | Native.EpollEdge);
        Now = Environment.TickCount64;
        Timers = new TimerWheel(Now);
        thread = new Thread(Run, 512 * 1024) { IsBackground = true, Name = $"loop-{index}" };
    }

    public int Index { get; }

    public TimeProvider Time { get; }

    /// <summary>Milliseconds, monotonic, as of the current turn.</summary>
    public long Now { get; private set; }

    /// <summary>Counts the turns.</summary>
    internal long Turn { get; private set; }

    internal TimerWheel Timers { get; }

    public BufferPool Buffers { get; } = new();

    public void Start() => thread.Start();

    public void Stop()
    {
        isStopping = true;
        Wake();
    }

    public void Join() => thread.Join();

    /// <summary>Runs an action on the loop's thread, soon.</summary>
    public void Post(Action action)
    {
        posted.Enqueue(action);
        Wake();
    }

    /// <summary>Runs at the end of every turn; for what is better done once than for each event.</summary>
    public void AfterTurn(Action action) => afterTurn.Add(action);

    /// <summary>
    /// Waits for a place in the queue of work that is too long to be done many times in one turn: <see cref="MaximumTurns"/> are given
    /// a turn.
    /// </summary>
    internal ValueTask<int> TurnAsync(Signal waiter)
    {
        waiter.Reset();
        turns.Enqueue(waiter);
        return waiter.WaitAsync();
    }

    /// <summary>Waits until everybody else has had a turn.</summary>
    internal ValueTask<int> YieldAsync(Signal waiter)
    {
        waiter.Reset();
        yielded.Enqueue(waiter);
        return waiter.WaitAsync();
    }

    internal void Register(int fd, IoHandle handle, uint interest)
    {
        if (!freeSlots.TryPop(out var slot))
        {
            slot = handles.Count;
            handles.Add(null);
            generations.Add(0);
        }

        handles[slot] = handle;
        handle.Slot = slot;
        var entry = stackalloc byte[16];
        Native.WriteEvent(entry, interest, ((ulong)generations[slot] << 32) | (uint)slot);
        if (Native.EpollControl(epoll, Native.EpollAdd, fd, entry) != 0)
        {
            throw new IOException($"epoll_ctl: errno {Native.Errno}");
        }
    }

    /// <summary>Before the descriptor is closed; events of it that are already read are dropped by their generation.</summary>
    internal void Unregister(IoHandle handle)
    {
        if (handle.Slot >= 0)
        {
            handles[handle.Slot] = null;
            generations[handle.Slot]++;
            freeSlots.Push(handle.Slot);
            handle.Slot = -1;
        }
    }

    /// <summary>Takes an open descriptor out of the loop; <see cref="Register"/> brings it back.</summary>
    internal void Suspend(int fd, IoHandle handle)
    {
        Unregister(handle);
        _ = Native.EpollControl(epoll, Native.EpollDelete, fd, null);
    }

    void Run()
    {
        // Nothing on a loop uses it, and carrying it along costs at every wait.
        ExecutionContext.SuppressFlow();
        while (!isStopping)
        {
            Volatile.Write(ref isAwake, 0);
            var wait = posted.IsEmpty && turns.Count == 0 && yielded.Count == 0 ? (int)Math.Clamp(Timers.NextDue - Environment.TickCount64, 0, MaximumWaitMilliseconds) : 0;
            var count = Native.EpollWait(epoll, events, MaximumEvents, wait);
            Now = Environment.TickCount64;
            Turn++;
            for (var i = 0; i < count; i++)
            {
                var (mask, data) = Native.ReadEvent(events, i);
                var slot = (int)(uint)data;
                if (generations[slot] == (uint)(data >> 32))
                {
                    handles[slot]?.OnEvents(mask);
                }
            }

            while (posted.TryDequeue(out var action))
            {
                action();
            }

            for (var i = yielded.Count; i > 0; i--)
            {
                yielded.Dequeue().Complete();
            }

            for (var i = 0; i < MaximumTurns && turns.TryDequeue(out var waiter); i++)
            {
                waiter.Complete();
            }

            Timers.Advance(Now);
            foreach (var action in afterTurn)
            {
                action();
            }
        }
    }

    void Wake()
    {
        if (Interlocked.Exchange(ref isAwake, 1) == 0)
        {
            ulong one = 1;
            _ = Native.Write(wakeup, (byte*)&one, sizeof(ulong));
        }
    }

    public void Dispose()
    {
        _ = Native.Close(epoll);
        _ = Native.Close(wakeup);
        NativeMemory.Free(events);
    }

    sealed class Wakeup(EventLoop loop) : IoHandle
    {
        public override void OnDue()
        {
            // It has no deadline.
        }

        public override void OnEvents(uint events)
        {
            ulong value;
            _ = Native.Read(loop.wakeup, (byte*)&value, sizeof(ulong));
        }
    }
}
