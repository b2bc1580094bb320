namespace Weir.Proxy.Simulation;

/// <summary>The time of day is the simulation's.</summary>
sealed class ManualTime(SimulationState state) : TimeProvider
{
    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddMilliseconds(state.Now);
}
