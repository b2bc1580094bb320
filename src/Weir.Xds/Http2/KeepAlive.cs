namespace Weir.Xds.Http2;

/// <summary>How a peer that has died without a word is noticed.</summary>
/// <param name="Interval">A PING is sent when nothing has come for this long.</param>
/// <param name="Timeout">Nothing having come for this long after it, the connection counts as dead.</param>
public sealed record KeepAliveOptions(TimeSpan Interval, TimeSpan Timeout)
{
    public static readonly KeepAliveOptions Default = new(TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(10));
}

/// <summary>Watches over one connection.</summary>
sealed class KeepAlive(KeepAliveOptions options, TimeProvider time, Action<ulong> ping)
{
    long lastHeard = time.GetTimestamp();
    volatile bool isBusy;
    ulong count;

    /// <summary>Something has come and is being dealt with: that nothing more is read meanwhile says nothing about the peer.</summary>
    public bool IsBusy
    {
        get => isBusy;
        set
        {
            Volatile.Write(ref lastHeard, time.GetTimestamp());
            isBusy = value;
        }
    }

    /// <exception cref="IOException">The peer is dead.</exception>
    public async Task RunAsync(CancellationToken cancel)
    {
        while (true)
        {
            var silent = Silence();
            if (silent < options.Interval)
            {
                await Task.Delay(options.Interval - silent, time, cancel).ConfigureAwait(false);
                continue;
            }

            var before = Volatile.Read(ref lastHeard);
            ping(++count);
            await Task.Delay(options.Timeout, time, cancel).ConfigureAwait(false);
            if (!isBusy && Volatile.Read(ref lastHeard) == before)
            {
                throw new IOException($"the control plane has not answered a ping for {options.Timeout.TotalSeconds:0.###} s");
            }
        }
    }

    TimeSpan Silence() => isBusy ? TimeSpan.Zero : time.GetElapsedTime(Volatile.Read(ref lastHeard));
}
