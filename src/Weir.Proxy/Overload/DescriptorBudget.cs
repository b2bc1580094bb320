namespace Weir.Proxy.Overload;

/// <summary>What a descriptor is wanted for; each may go further than the one before it.</summary>
enum DescriptorUse
{
    Client,

    /// <summary>Connections to upstreams: a client that was accepted must be able to be served.</summary>
    Upstream,

    /// <summary>Probes, metrics, administration, and files of the proxy's own.</summary>
    Own,
}

/// <summary>
/// How the descriptors that a process may have are shared out, so that clients alone never take the last one. Pure: how many are in use
/// is the caller's to count. Of one process, or of one loop by <see cref="PerLoop"/>.
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

    /// <summary>The most that may be open for one more to be opened for this use.</summary>
    public long CeilingOf(DescriptorUse use) => use switch
    {
        DescriptorUse.Client => Limit - Reserved,
        DescriptorUse.Upstream => Limit - (Reserved / OwnShare),
        _ => Limit,
    };

    /// <param name="inUse">For whatever.</param>
    public bool Admits(DescriptorUse use, long inUse) => inUse < CeilingOf(use);

    /// <summary>How many idle connections to close, those that have been idle for longest first, so that one more may be opened.</summary>
    public long IdleToClose(DescriptorUse use, long inUse, long idle) => Math.Clamp(inUse - CeilingOf(use) + 1, 0, idle);
}
