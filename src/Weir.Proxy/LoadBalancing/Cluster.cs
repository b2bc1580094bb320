using System.Collections.Frozen;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.LoadBalancing;

/// <summary>One place to send requests to. Immutable but for <paramref name="State"/>.</summary>
/// <param name="Scope">Where requests to it are counted.</param>
/// <param name="Weight">At least 1.</param>
/// <param name="Labels">Metadata that subsets are chosen by.</param>
/// <param name="State">What the loops keep of this address in this cluster; lives on when the configuration changes.</param>
sealed record Endpoint(
    SocketAddressV4 Address, StatsScope Scope, uint Weight, IReadOnlyDictionary<string, string> Labels, EndpointState State);

/// <summary>What one loop has under way with one endpoint.</summary>
abstract class EndpointLoad : IDisposable
{
    public PeakEwma Latency;

    public int ActiveRequests { get; set; }

    /// <summary>Lets go of what is idle: the endpoint is no longer part of the mesh.</summary>
    public abstract void Dispose();
}

/// <summary>What outlives configurations of one endpoint: each loop's connections and load.</summary>
/// <param name="addedAt">Milliseconds; from when slow start counts.</param>
sealed class EndpointState(int loops, long addedAt)
{
    public readonly EndpointLoad?[] ByLoop = new EndpointLoad?[loops];

    public long AddedAt => addedAt;
}

public enum BalancingPolicy
{
    /// <summary>The less busy of two random endpoints.</summary>
    LeastRequest,
    RoundRobin,
    Random,

    /// <summary>The one of two random endpoints whose recent peak latency, times what it has to do, is less.</summary>
    PeakEwma,
    RingHash,
    Maglev,
}

/// <param name="DecayMilliseconds">Of peak EWMA: after this time a measured latency counts for a third.</param>
/// <param name="SlowStartMilliseconds">For so long a new endpoint gets less than its share; 0 for not at all.</param>
sealed record BalancingOptions(
    BalancingPolicy Policy, int Choices = 2, double ActiveRequestBias = 1, double DecayMilliseconds = 10_000,
    ulong MinimumRing = 1024, ulong MaximumRing = 8 * 1024 * 1024, int MaglevSize = MaglevTable.DefaultSize,
    long SlowStartMilliseconds = 0, double Aggression = 1, double MinimumWeight = 0.1);

/// <summary>The endpoints that one choice is made among, with what its policy needs to make it. Immutable.</summary>
sealed class EndpointSet
{
    readonly uint[]? cumulative;

    public EndpointSet(Endpoint[] endpoints, BalancingOptions options)
    {
        Endpoints = endpoints;
        if (endpoints.Length < 2)
        {
            return;
        }

        switch (options.Policy)
        {
            case BalancingPolicy.RingHash:
                Ring = new HashRing(endpoints, options.MinimumRing, options.MaximumRing);
                return;
            case BalancingPolicy.Maglev:
                Maglev = new MaglevTable(endpoints, options.MaglevSize);
                return;
        }

        if (Array.Exists(endpoints, e => e.Weight != endpoints[0].Weight))
        {
            Schedule = options.Policy == BalancingPolicy.RoundRobin ? new WeightedSchedule([.. endpoints.Select(e => e.Weight)]) : null;
            cumulative = new uint[endpoints.Length];
            uint sum = 0;
            for (var i = 0; i < endpoints.Length; i++)
            {
                cumulative[i] = sum += endpoints[i].Weight;
            }
        }
    }

    public Endpoint[] Endpoints { get; }
    public HashRing? Ring { get; }
    public MaglevTable? Maglev { get; }

    /// <summary>The order of a round robin over unequal endpoints.</summary>
    public WeightedSchedule? Schedule { get; }

    /// <summary>What a random number is drawn below; its endpoint is <see cref="At"/>.</summary>
    public uint Total => cumulative?[^1] ?? (uint)Endpoints.Length;

    public int At(uint drawn)
    {
        if (cumulative is null)
        {
            return (int)drawn;
        }

        var at = Array.BinarySearch(cumulative, drawn + 1);
        return at < 0 ? ~at : at;
    }
}

/// <summary>Limits of a cluster, for the whole process; each loop keeps to its part.</summary>
sealed record ClusterLimits(int MaximumConnections, int MaximumPending, int MaximumRequests)
{
    public static readonly ClusterLimits None = new(int.MaxValue, int.MaxValue, int.MaxValue);

    public ClusterLimits PerLoop(int loops)
    {
        int Part(int limit) => limit == int.MaxValue ? limit : Math.Max(1, (limit + loops - 1) / loops);
        return new ClusterLimits(Part(MaximumConnections), MaximumPending == 0 ? 0 : Part(MaximumPending), MaximumRequests == 0 ? 0 : Part(MaximumRequests));
    }
}

public enum SubsetFallback
{
    None,
    Any,
    Default,
}

/// <summary>A group of equal endpoints, and how to talk to them. Immutable; what changes is in <see cref="Loads"/>.</summary>
sealed class Cluster
{
    public required string Name { get; init; }
    public required byte[] NameBytes { get; init; }
    public required BalancingOptions Balancing { get; init; }
    public required EndpointSet All { get; init; }
    public FrozenDictionary<string, EndpointSet> Subsets { get; init; } = FrozenDictionary<string, EndpointSet>.Empty;
    public SubsetFallback Fallback { get; init; } = SubsetFallback.Any;

    /// <summary>Of <see cref="SubsetFallback.Default"/>.</summary>
    public EndpointSet? DefaultSubset { get; init; }
    public required int ConnectTimeoutMilliseconds { get; init; }

    /// <summary>Which version of HTTP its endpoints are spoken to in.</summary>
    public UpstreamHttp Http { get; init; } = UpstreamHttp.Http1;

    /// <summary>How long a connection is kept that nobody uses.</summary>
    public int IdleMilliseconds { get; init; }

    /// <summary>After so many a connection is closed; 0 for never.</summary>
    public int MaximumRequestsPerConnection { get; init; }
    public required ClusterLimits Limits { get; init; }
    public TlsClient? Tls { get; init; }

    /// <summary>Version of the PROXY protocol by which upstreams are told of the client; 0 for none.</summary>
    public int ProxyProtocolVersion { get; init; }

    /// <summary>Where requests are counted that no endpoint got.</summary>
    public required StatsScope Scope { get; init; }

    /// <summary>One for each loop; they live on when the configuration changes.</summary>
    public required ClusterLoad[] Loads { get; init; }

    /// <param name="subset">Canonical text of the labels asked for; null for no subset.</param>
    public EndpointSet? Select(string? subset)
    {
        if (subset is null)
        {
            return Fallback == SubsetFallback.Default && DefaultSubset is not null ? DefaultSubset : All;
        }

        return Subsets.TryGetValue(subset, out var found) ? found : Fallback switch
        {
            SubsetFallback.Any => All,
            SubsetFallback.Default => DefaultSubset,
            _ => null,
        };
    }
}

/// <summary>What one loop has under way in one cluster.</summary>
sealed class ClusterLoad
{
    public uint Turn;
    public int Connections;
    public int Requests;

    /// <summary>Requests that wait, for a connection or for a stream of one that is being made.</summary>
    public int Pending;

    /// <summary>Requests that wait for one of the connections the cluster is limited to, in order of arrival.</summary>
    public readonly PendingQueue Waiting;

    public ClusterLoad() => Waiting = new PendingQueue(this);
}

/// <summary>Labels in one order and form, so that they can be compared as text.</summary>
static class SubsetKey
{
    public static string Of(IEnumerable<KeyValuePair<string, string>> labels) =>
        string.Join('\n', labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));
}
