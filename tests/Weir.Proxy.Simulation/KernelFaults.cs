namespace Weir.Proxy.Simulation;

/// <summary>How often the kernel does what is allowed and rare; per mille of the calls.</summary>
sealed record KernelFaults
{
    public static readonly KernelFaults None = new();

    public int Interrupted { get; init; }
    public int ShortWrite { get; init; }
    public int NoRoom { get; init; }
    public int NoDescriptor { get; init; }
    public int NotWatched { get; init; }

    /// <summary>Something arrives in the middle of a turn.</summary>
    public int Arrival { get; init; }
}
