using System.Threading.Tasks.Sources;

namespace Weir.Proxy.Reactor;

/// <summary>
/// Something to wait for, again and again, without allocating: one waits, another completes it, both on the loop. Whoever waits goes on
/// at once.
/// </summary>
class Signal : IValueTaskSource<int>
{
    ManualResetValueTaskSourceCore<int> core;

    /// <summary>From here on it may be completed, once, before or after somebody waits.</summary>
    public void Reset() => core.Reset();

    public ValueTask<int> WaitAsync() => new(this, core.Version);

    public void Complete() => core.SetResult(0);

    public int GetResult(short token) => core.GetResult(token);

    public ValueTaskSourceStatus GetStatus(short token) => core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        core.OnCompleted(continuation, state, token, flags & ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext);
}
