using System.Buffers.Text;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Overload;

/// <summary>
/// Watches the process's memory. Above its limit new requests are answered with 503 until enough is free again: better some refused
/// than the process killed, and every request with it.
/// </summary>
sealed class OverloadMonitor : TimerEntry
{
    const int IntervalMilliseconds = 250;

    /// <summary>Shedding ends at this part of the limit, so that it does not flicker.</summary>
    const double Relief = 0.9;

    readonly EventLoop loop;
    readonly long memoryLimit;
    readonly Action<bool, string> onChange;
    readonly ResidentMemory memory;
    bool isOverloaded;

    /// <exception cref="IOException">The kernel does not say how much memory is used.</exception>
    public OverloadMonitor(EventLoop loop, long memoryLimit, Action<bool, string> onChange)
    {
        this.loop = loop;
        this.memoryLimit = memoryLimit;
        this.onChange = onChange;
        memory = new ResidentMemory();
    }

    public void Start() => loop.Timers.Set(this, loop.Now + IntervalMilliseconds);

    public override void OnDue()
    {
        // Without an answer for once, what was known last holds.
        if (memory.Read() is { } resident && (isOverloaded ? resident < memoryLimit * Relief : resident >= memoryLimit))
        {
            isOverloaded = !isOverloaded;
            onChange(isOverloaded, string.Create(CultureInfo.InvariantCulture, $"resident memory {resident >> 20} MiB, limit {memoryLimit >> 20} MiB"));
        }

        Start();
    }
}

/// <summary>
/// How much memory the process uses, as the kernel counts it. The file stays open: when it matters most there may be no descriptor left.
/// </summary>
sealed class ResidentMemory : IDisposable
{
    readonly SafeFileHandle file;
    readonly byte[] text = new byte[128];

    public ResidentMemory()
    {
        try
        {
            file = File.OpenHandle("/proc/self/statm");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"/proc/self/statm, which says how much memory is used, cannot be read: {Telemetry.Failure.Describe(e)}");
        }
    }

    /// <summary>Null when it cannot be told.</summary>
    public long? Read()
    {
        try
        {
            ReadOnlySpan<byte> read = text.AsSpan(0, RandomAccess.Read(file, text, 0));
            var space = read.IndexOf((byte)' ');
            return space >= 0 && Utf8Parser.TryParse(read[(space + 1)..], out long pages, out _) ? pages * Environment.SystemPageSize : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            return null;
        }
    }

    public void Dispose() => file.Dispose();
}
