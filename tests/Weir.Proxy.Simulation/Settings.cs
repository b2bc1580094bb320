namespace Weir.Proxy.Simulation;

/// <summary>The times and limits of one simulation's configuration, and what may go wrong in it. Milliseconds.</summary>
sealed record Settings
{
    /// <summary>Nothing goes wrong and everything is in time: then every request must be served.</summary>
    public bool IsBenign { get; init; }

    /// <summary>
    /// Requests pass the proxy twice, with HTTP/2 in between: what comes in by HTTP/1.1 goes out by HTTP/2, comes in by that, and goes out
    /// by HTTP/1.1. So both sides of both protocols are under test, and what goes in and comes out is seen by the same taps.
    /// </summary>
    public bool IsChained { get; init; }
    public int StreamIdleMilliseconds { get; init; } = 60_000;
    public int ConnectionIdleMilliseconds { get; init; } = 60_000;
    public int HeadMilliseconds { get; init; } = 60_000;
    public int RequestMilliseconds { get; init; }
    public int DelayedCloseMilliseconds { get; init; } = 1000;
    public int MaximumConnectionMilliseconds { get; init; }
    public int MaximumRequestsDown { get; init; }
    public int MaximumRequestsUp { get; init; }
    public int MaximumUpstreamConnections { get; init; } = int.MaxValue;
    public int MaximumPending { get; init; } = int.MaxValue;
    public int MaximumRequests { get; init; } = int.MaxValue;
    public int MaximumClients { get; init; } = 1000;
    public int ConnectMilliseconds { get; init; } = 30_000;
    public int UpstreamIdleMilliseconds { get; init; } = 5000;
    public int ConfigurationChanges { get; init; }
    public int LargestBody { get; init; } = 4096;
    public int StreamsOfConnection { get; init; } = 100;
    public KernelFaults Faults { get; init; } = KernelFaults.None;

    /// <summary>By when everything must be over once nobody does anything any more.</summary>
    public long LongestMilliseconds => (8L * (StreamIdleMilliseconds + ConnectionIdleMilliseconds + HeadMilliseconds + RequestMilliseconds
        + DelayedCloseMilliseconds + MaximumConnectionMilliseconds + ConnectMilliseconds + UpstreamIdleMilliseconds)) + 30_000 + 5000;

    public static Settings Make(SimulationRandom random) => random.Chance(25) ? Benign(random) : Hostile(random);

    static Settings Benign(SimulationRandom random) => new()
    {
        IsBenign = true,
        IsChained = random.Chance(40),
        StreamsOfConnection = random.Pick(1, 2, 100),
        LargestBody = random.Pick(300, 5000, 5000, 60_000, 150_000),
        MaximumUpstreamConnections = random.Pick(1, 2, int.MaxValue),
        MaximumRequestsUp = random.Pick(0, 0, 1, 3),
        MaximumRequestsDown = random.Pick(0, 0, 0, 2),
        Faults = new KernelFaults { Interrupted = random.Pick(0, 20), ShortWrite = random.Pick(0, 200), NoRoom = random.Pick(0, 100), Arrival = random.Pick(0, 200) },
    };

    static Settings Hostile(SimulationRandom random) => new()
    {
        IsChained = random.Chance(40),
        StreamsOfConnection = random.Pick(1, 2, 100),
        StreamIdleMilliseconds = random.Pick(200, 500, 2000),
        ConnectionIdleMilliseconds = random.Pick(200, 3000),
        HeadMilliseconds = random.Pick(200, 1000, 5000),
        RequestMilliseconds = random.Pick(0, 0, 300, 3000),
        DelayedCloseMilliseconds = random.Pick(0, 100, 1000),
        MaximumConnectionMilliseconds = random.Pick(0, 0, 0, 500),
        MaximumRequestsDown = random.Pick(0, 0, 0, 2),
        MaximumRequestsUp = random.Pick(0, 0, 1, 3),
        MaximumUpstreamConnections = random.Pick(1, 1, 2, 4, int.MaxValue),
        MaximumPending = random.Pick(0, 1, 2, int.MaxValue, int.MaxValue),
        MaximumRequests = random.Pick(2, int.MaxValue, int.MaxValue),
        MaximumClients = random.Pick(2, 1000, 1000),
        ConnectMilliseconds = random.Pick(50, 1000, 4000),
        UpstreamIdleMilliseconds = random.Pick(100, 2000),
        ConfigurationChanges = random.Pick(0, 0, 1, 4),
        LargestBody = random.Pick(300, 5000, 5000, 60_000, 150_000),
        Faults = new KernelFaults
        {
            Interrupted = random.Pick(0, 20),
            ShortWrite = random.Pick(0, 200),
            NoRoom = random.Pick(0, 100),
            NoDescriptor = random.Pick(0, 0, 50, 300),
            NotWatched = random.Pick(0, 0, 20),
            Arrival = random.Pick(0, 200),
        },
    };
}
