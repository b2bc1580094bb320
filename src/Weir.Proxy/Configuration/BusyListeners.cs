namespace Weir.Proxy.Configuration;

/// <summary>
/// Tries listeners again whose address somebody else had when they came. Nothing tells when an address becomes free, so it is asked,
/// and only while there is such a listener.
/// </summary>
public static class BusyListeners
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>Runs until it is cancelled.</summary>
    public static async Task RunAsync(ConfigStore store, TimeProvider time, CancellationToken cancel)
    {
        while (true)
        {
            await store.BusyListenerAsync(cancel).ConfigureAwait(false);
            while (store.HasBusyListeners)
            {
                await Task.Delay(Interval, time, cancel).ConfigureAwait(false);
                store.RetryBusyListeners();
            }
        }
    }
}
