using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.LoadBalancing;

/// <summary>One place to send requests to.</summary>
/// <param name="Scope">Where requests to it are counted.</param>
public sealed record Endpoint(SocketAddressV4 Address, StatsScope Scope);

public enum BalancingPolicy
{
    /// <summary>The less busy of two random endpoints.</summary>
    LeastRequest,
    RoundRobin,
    Random,
}

/// <summary>A group of equal endpoints. Immutable, save for where its round robin stands.</summary>
public sealed class Cluster(string name, BalancingPolicy policy, Endpoint[] endpoints, int connectTimeoutMilliseconds, StatsScope scope)
{
    uint turn = uint.MaxValue;

    public string Name { get; } = name;
    internal byte[] NameBytes { get; } = System.Text.Encoding.UTF8.GetBytes(name);
    public BalancingPolicy Policy { get; } = policy;
    public Endpoint[] Endpoints { get; } = endpoints;
    public int ConnectTimeoutMilliseconds { get; } = connectTimeoutMilliseconds;

    /// <summary>Where requests are counted that no endpoint got.</summary>
    public StatsScope Scope { get; } = scope;

    internal uint NextTurn() => Interlocked.Increment(ref turn);
}
