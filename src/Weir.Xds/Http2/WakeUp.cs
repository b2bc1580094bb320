namespace Weir.Xds.Http2;

/// <summary>Lets one task wait until another has something for it. What is set before the wait is not lost, and being set twice is once.</summary>
sealed class WakeUp : IDisposable
{
    readonly SemaphoreSlim signal = new(0, 1);
    int isSet;

    public void Set()
    {
        if (Interlocked.Exchange(ref isSet, 1) == 0)
        {
            signal.Release();
        }
    }

    /// <summary>Look for work after it returns: what is set from here on wakes again.</summary>
    public async Task WaitAsync(CancellationToken cancel)
    {
        await signal.WaitAsync(cancel).ConfigureAwait(false);
        Interlocked.Exchange(ref isSet, 0);
    }

    public void Dispose() => signal.Dispose();
}
