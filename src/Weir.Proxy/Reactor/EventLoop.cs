using System.Collections.Concurrent;

namespace Weir.Proxy.Reactor;

/// <summary>
/// One thread and one kernel. Everything that belongs to a loop is touched by its thread alone; other threads reach it with
/// <see cref="Post"/>. A turn is: events of sockets, posted actions, deferred handlers, timers.
/// </summary>
public sealed class EventLoop : IDisposable
{
    const int MaximumEvents = 256;
    const int MaximumWaitMilliseconds = 1000;

    readonly Kernel kernel;
    readonly KernelEvent[] events = new KernelEvent[MaximumEvents];
    readonly ConcurrentQueue<Action> posted = new();
    readonly HandleTable handles = new();
    readonly List<Action> afterTurn = [];
    readonly Thread thread;
    DeferredQueue deferred;
    volatile bool isStopping;
    int isAwake;

    public EventLoop(int index, TimeProvider time)
        : this(index, time, new EpollKernel())
    {
    }

    internal EventLoop(int index, TimeProvider time, Kernel kernel, BufferPool? buffers = null)
    {
        Index = index;
        Time = time;
        this.kernel = kernel;
        Now = kernel.Milliseconds;
        Timers = new TimerWheel(Now);
        Buffers = buffers ?? new BufferPool();
        thread = new Thread(Run, 512 * 1024) { IsBackground = true, Name = $"loop-{index}" };
    }

    public int Index { get; }

    public TimeProvider Time { get; }

    /// <summary>Milliseconds, monotonic, as of the current turn.</summary>
    public long Now { get; private set; }

    /// <summary>Counts the turns.</summary>
    internal long Turn { get; private set; }

    internal Kernel Kernel => kernel;

    internal TimerWheel Timers { get; }

    public BufferPool Buffers { get; }

    /// <summary>Told of a handler's defect: what it was doing has been ended, everything else goes on.</summary>
    internal Action<Exception> OnFault { get; set; } = _ => { };

    /// <summary>Told of what its operator should know.</summary>
    internal Action<string> OnWarning { get; set; } = _ => { };

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
    /// Calls the handler after the other events of this turn; or in the next one, when it is itself running because it was deferred.
    /// By this a busy handler lets others go first, and many small writes become one.
    /// </summary>
    internal void Defer(LoopHandler handler) => deferred.Add(handler);

    /// <returns>0, or a negative errno: nothing is registered then.</returns>
    internal int Watch(int fd, IoHandle handle, bool accepts)
    {
        var key = handles.Add(handle);
        var result = accepts ? kernel.WatchAccept(fd, key) : kernel.Watch(fd, key);
        if (result < 0)
        {
            handles.Remove(handle);
        }

        return result;
    }

    /// <summary>Before the descriptor is closed; events of it that are already read are dropped.</summary>
    internal void Unwatch(IoHandle handle) => handles.Remove(handle);

    /// <summary>Takes an open descriptor out of the loop; <see cref="Watch"/> brings it back.</summary>
    internal void Suspend(int fd, IoHandle handle)
    {
        handles.Remove(handle);
        kernel.Forget(fd);
    }

    /// <summary>How many descriptors the loop watches.</summary>
    internal int Watched => handles.Count;

    /// <summary>So many may be watched when a connection is opened; the rest is for others.</summary>
    internal long MostToConnect { get; set; } = long.MaxValue;

    void Run()
    {
        // Nothing on a loop uses it, and carrying it along costs at every wait.
        ExecutionContext.SuppressFlow();
        while (!isStopping)
        {
            // An exchange and not a store: the queue must not be looked at before others can see that they have to wake the loop.
            Interlocked.Exchange(ref isAwake, 0);
            RunTurn(MaximumWaitMilliseconds);
        }
    }

    /// <summary>One turn; waits for so long at most.</summary>
    internal void RunTurn(int maximumWait)
    {
        var wait = posted.IsEmpty && deferred.IsEmpty ? (int)Math.Clamp(Timers.NextDue - kernel.Milliseconds, 0, maximumWait) : 0;
        var count = kernel.Wait(events, wait);
        Now = kernel.Milliseconds;
        Turn++;
        for (var i = 0; i < count; i++)
        {
            if (handles.Find(events[i].Key) is { } handle)
            {
                Dispatch(handle, events[i].Events);
            }
        }

        while (posted.TryDequeue(out var action))
        {
            Run(action);
        }

        RunDeferred();
        AdvanceTimers();
        foreach (var action in afterTurn)
        {
            Run(action);
        }
    }

    // These are the last catches: whatever a handler does, the loop goes on, and what the handler was doing is abandoned.
    void Dispatch(IoHandle handle, SocketEvents given)
    {
        try
        {
            handle.OnEvents(given);
        }
        catch (Exception e)
        {
            OnFault(e);
            Run(handle.Abandon);
        }
    }

    /// <summary>Those that are deferred meanwhile come next time.</summary>
    void RunDeferred()
    {
        var all = deferred.TakeAll();
        while (all.Take() is { } handler)
        {
            Call(handler);
        }
    }

    /// <summary>Tells a handler by itself: its defect is not that of whoever tells it.</summary>
    internal void Call(LoopHandler handler)
    {
        try
        {
            handler.OnReady();
        }
        catch (Exception e)
        {
            OnFault(e);
            Run(handler.Abandon);
        }
    }

    void AdvanceTimers()
    {
        while (true)
        {
            try
            {
                Timers.Advance(Now);
                return;
            }
            catch (Exception e)
            {
                // The timer that threw has left the wheel; the others are still to come.
                OnFault(e);
                if (Timers.Due is LoopHandler handler)
                {
                    Run(handler.Abandon);
                }
            }
        }
    }

    void Run(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            OnFault(e);
        }
    }

    void Wake()
    {
        if (Interlocked.Exchange(ref isAwake, 1) == 0)
        {
            kernel.Wake();
        }
    }

    public void Dispose() => kernel.Dispose();
}
