using System.Globalization;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// Gives back, once a configuration is in force, what only taking it in needed: garbage of its parsing, and the pages of code that ran
/// once. And once much traffic has gone, what only that needed. What is needed again comes back from the page cache, which other proxies of the machine share.
/// </summary>
public sealed class MemoryTrimmer(TimeProvider time, ProxyLog log)
{
    static readonly TimeSpan Quiet = TimeSpan.FromSeconds(1);
    static readonly TimeSpan AfterCollecting = TimeSpan.FromMilliseconds(100);

    /// <summary>A collection of everything stops the loops for a moment: it must be worth it.</summary>
    const long WorthCollecting = 4 * 1024 * 1024;

    readonly SemaphoreSlim changed = new(0, 1);
    long collectedAt;

    /// <summary>Something has come to rest. From any thread.</summary>
    public void Touch()
    {
        lock (changed)
        {
            if (changed.CurrentCount == 0)
            {
                changed.Release();
            }
        }
    }

    /// <summary>Trims when changes have come to rest, until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        try
        {
            while (true)
            {
                await changed.WaitAsync(cancel).ConfigureAwait(false);
                do
                {
                    await Task.Delay(Quiet, time, cancel).ConfigureAwait(false);
                }
                while (await changed.WaitAsync(0, cancel).ConfigureAwait(false));
                Collect();

                // What a collection leaves to be finished on other threads needs code as well.
                await Task.Delay(AfterCollecting, time, cancel).ConfigureAwait(false);
                DropCode();
            }
        }
        catch (OperationCanceledException)
        {
            // The proxy ends.
        }
    }

    void Collect()
    {
        if (GC.GetGCMemoryInfo().TotalCommittedBytes - collectedAt > WorthCollecting || collectedAt == 0)
        {
            GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            collectedAt = GC.GetGCMemoryInfo().TotalCommittedBytes;
        }
    }

    void DropCode()
    {
        try
        {
            var mappings = LoadedCode.FindClean();
            if (log.Level >= LogLevel.Debug)
            {
                log.Debug(string.Create(CultureInfo.InvariantCulture, $"gives back {mappings.Sum(m => m.Resident) >> 10} KiB of pages"));
            }

            LoadedCode.Drop(mappings);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.Debug($"pages are kept: {Failure.Describe(e)}");
        }
    }
}
