using System.Globalization;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// Watches the process's memory. Above its limit new requests are answered with 503 until enough is free again: better some refused
/// than the process killed, and every request with it.
/// </summary>
sealed class OverloadMonitor(EventLoop loop, long memoryLimit, Action<bool, string> onChange) : TimerEntry
{
    const int IntervalMilliseconds = 250;

    /// <summary>Shedding ends at this part of the limit, so that it does not flicker.</summary>
    const double Relief = 0.9;

    readonly byte[] text = new byte[128];
    bool isOverloaded;

    public void Start() => loop.Timers.Set(this, loop.Now + IntervalMilliseconds);

    public override void OnDue()
    {
        var resident = ResidentBytes();
        if (isOverloaded ? resident < memoryLimit * Relief : resident >= memoryLimit)
        {
            isOverloaded = !isOverloaded;
            onChange(isOverloaded, string.Create(CultureInfo.InvariantCulture, $"resident memory {resident >> 20} MiB, limit {memoryLimit >> 20} MiB"));
        }

        Start();
    }

    long ResidentBytes()
    {
        using var file = new FileStream("/proc/self/statm", FileMode.Open, FileAccess.Read, FileShare.Read, 0);
        var read = file.Read(text);
        var fields = System.Text.Encoding.ASCII.GetString(text, 0, read).Split(' ');
        return long.Parse(fields[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }
}
