namespace Weir.Proxy.LoadBalancing;

/// <summary>
/// Latency as Finagle's peak EWMA measures it: it follows a rise at once and forgets it over the decay time, so that a slow endpoint
/// is avoided quickly and tried again with care.
/// </summary>
struct PeakEwma
{
    double milliseconds;
    long measuredAt;

    public void Record(double sample, long now, double decay)
    {
        var current = Value(now, decay);
        milliseconds = sample > current ? sample : sample + ((current - sample) * Math.Exp(-Math.Max(now - measuredAt, 1) / decay));
        measuredAt = now;
    }

    /// <summary>What was measured, faded since.</summary>
    public readonly double Value(long now, double decay) => measuredAt == 0 ? 0 : milliseconds * Math.Exp(-(now - measuredAt) / decay);
}
