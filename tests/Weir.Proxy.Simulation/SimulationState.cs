namespace Weir.Proxy.Simulation;

/// <summary>What all parts of a simulation know of each other.</summary>
sealed class SimulationState
{
    public SimulationState(ulong seed)
    {
        Seed = seed;
        Random = new SimulationRandom(seed);
        Trace = new Trace(() => Now);
        Network = new Network(Random);
    }

    public ulong Seed { get; }

    public SimulationRandom Random { get; }

    public Trace Trace { get; }

    public Network Network { get; }

    public Dictionary<int, RequestPlan> Plans { get; } = [];

    public SimulatedKernel Kernel { get; set; } = null!;

    public ExchangeWatch Watch { get; set; } = null!;

    public long Now => Kernel?.Milliseconds ?? 0;

    /// <summary>Nothing goes wrong.</summary>
    public bool IsBenign { get; set; }

    /// <summary>Nobody does anything any more: what still happens is the proxy's.</summary>
    public bool IsStill { get; set; }

    public void OnOwnAnswer(RequestPlan plan, int status, string text)
    {
        if (status == 504 && text == "stream timeout")
        {
            Watch.CheckIdle(plan);
        }
    }
}
