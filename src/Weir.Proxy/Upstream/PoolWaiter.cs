using System.Threading.Tasks.Sources;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>A request that waits until one of a cluster's connections is free.</summary>
sealed class PoolWaiter(EventLoop loop) : TimerEntry, IValueTaskSource<int>
{
    ManualResetValueTaskSourceCore<int> core;
    LinkedListNode<PoolWaiter>? node;

    /// <returns>0 when it is worth trying again, or a negative errno.</returns>
    public ValueTask<int> WaitAsync(ClusterLoad load, int timeoutMilliseconds)
    {
        core.Reset();
        node = load.Waiting.AddLast(this);
        loop.Timers.Set(this, loop.Now + timeoutMilliseconds);
        return new ValueTask<int>(this, core.Version);
    }

    public void Wake() => Complete(0);

    /// <summary>Ends the wait: the request is over.</summary>
    public void Cancel() => Complete(-Native.Ecanceled);

    public override void OnDue() => Complete(-Native.EtimedOut);

    void Complete(int result)
    {
        if (node is { } waiting)
        {
            waiting.List!.Remove(waiting);
            node = null;
            TimerWheel.Clear(this);
            core.SetResult(result);
        }
    }

    public int GetResult(short token) => core.GetResult(token);

    public ValueTaskSourceStatus GetStatus(short token) => core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        core.OnCompleted(continuation, state, token, flags & ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext);
}
