namespace Weir.Proxy.Listeners;

/// <summary>Settings of the data plane that are not configuration: they hold for the life of the process.</summary>
public sealed record EngineOptions
{
    /// <summary>Event loops.</summary>
    public int Concurrency { get; init; } = 1;

    /// <summary>Of random choices.</summary>
    public int Seed { get; init; }

    /// <summary>Of request and trace ids, so that they come again; null for what the operating system gives.</summary>
    public ulong? RequestIdSeed { get; init; }

    /// <summary>Downstream connections at a time; more are turned away.</summary>
    public int MaximumConnections { get; init; } = 65_536;

    /// <summary>How long what is kept for use may lie unused, and a loop must have had little to do to count as quiet.</summary>
    public TimeSpan QuietTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Descriptors that the process may have open; 0 for what the machine says when it starts.</summary>
    public long DescriptorLimit { get; init; }

    /// <summary>Resident bytes above which requests are refused; 0 for no limit.</summary>
    public long MemoryLimit { get; init; }
}
