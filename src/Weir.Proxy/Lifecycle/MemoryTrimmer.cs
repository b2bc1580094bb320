using System.Globalization;
using System.Runtime.InteropServices;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// Gives back, once a configuration is in force, what only taking it in needed: garbage of its parsing, and the pages of code that ran
/// once. And once much traffic has gone, what only that needed. What is needed again comes back from the page cache, which other proxies of the machine share.
/// </summary>
public sealed partial class MemoryTrimmer(TimeProvider time, ProxyLog log)
{
    static readonly TimeSpan Quiet = TimeSpan.FromSeconds(1);

    /// <summary>A collection of everything stops the loops for a moment: it must be worth it.</summary>
    const long WorthCollecting = 4 * 1024 * 1024;
    const int DontNeed = 4;

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
                Trim();
            }
        }
        catch (OperationCanceledException)
        {
            // The proxy ends.
        }
    }

    void Trim()
    {
        if (GC.GetGCMemoryInfo().TotalCommittedBytes - collectedAt > WorthCollecting || collectedAt == 0)
        {
            GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            collectedAt = GC.GetGCMemoryInfo().TotalCommittedBytes;
        }

        try
        {
            var dropped = DropCleanPages();
            log.Debug(string.Create(CultureInfo.InvariantCulture, $"gave back {dropped >> 10} KiB of pages"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            log.Debug($"pages are kept: {e.Message}");
        }
    }

    /// <summary>Of files mapped for reading that nothing has written to: only those can be read again as they were.</summary>
    static long DropCleanPages()
    {
        long dropped = 0;
        nint start = 0, end = 0;
        long resident = 0;
        var isClean = false;
        foreach (var line in File.ReadLines("/proc/self/smaps").Append("0-0 ---p"))
        {
            if (!char.IsAsciiLetterUpper(line[0]))
            {
                if (isClean && resident > 0)
                {
                    _ = Advise(start, end - start, DontNeed);
                    dropped += resident;
                }

                var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                var dash = fields[0].IndexOf('-', StringComparison.Ordinal);
                start = nint.Parse(fields[0].AsSpan(0, dash), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                end = nint.Parse(fields[0].AsSpan(dash + 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                isClean = fields[1].StartsWith("r-", StringComparison.Ordinal) && fields[1][3] == 'p' && fields.Length > 5 && fields[5][0] == '/';
                resident = 0;
            }
            else if (line.StartsWith("Rss:", StringComparison.Ordinal))
            {
                resident = Kibibytes(line) << 10;
            }
            else if (line.StartsWith("Private_Dirty:", StringComparison.Ordinal) || line.StartsWith("Anonymous:", StringComparison.Ordinal))
            {
                isClean &= Kibibytes(line) == 0;
            }
        }

        return dropped;
    }

    static long Kibibytes(string line) => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nint length, int advice);
}
