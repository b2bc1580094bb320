namespace Weir.Proxy.Overload;

/// <summary>
/// How the descriptors that a process may have are shared out, so that clients alone never take the last one: some are kept for upstreams,
/// since a client that was accepted must be able to be served, and of those some for probes, metrics, administration and files. Of one
/// process, or of one loop by <see cref="PerLoop"/>.
/// </summary>
/// <param name="Limit">That may be open at a time.</param>
/// <param name="Reserved">Of them, those that no client gets.</param>
sealed record DescriptorBudget(long Limit, long Reserved)
{
    /// <summary>Half of what there is goes to clients, where there is little; upstreams seldom need more than a thousand more than that.</summary>
    const int MaximumReserved = 2048;

    /// <summary>Of the reserve, what upstreams do not get either.</summary>
    const int OwnShare = 4;

    public static DescriptorBudget For(long limit) => new(limit, Math.Min(limit / 2, MaximumReserved));

    /// <summary>The part of one of so many loops.</summary>
    public DescriptorBudget PerLoop(int loops) => new(Limit / loops, Reserved / loops);

    /// <summary>So many may be open, for whatever, when one more client is taken.</summary>
    public long ForClients => Limit - Reserved;

    /// <summary>So many may be open when one more connection to an upstream is.</summary>
    public long ForUpstreams => Limit - (Reserved / OwnShare);
}
