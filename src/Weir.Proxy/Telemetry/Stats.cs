using System.Collections.Concurrent;

namespace Weir.Proxy.Telemetry;

/// <summary>The labels of Istio's metrics that do not change from request to request.</summary>
public sealed record StatsLabels(
    string Reporter, string SourceWorkload, string SourceNamespace, string SourceApp, string SourceVersion,
    string DestinationWorkload, string DestinationNamespace, string DestinationApp, string DestinationVersion,
    string DestinationService, string DestinationServiceName, string DestinationServiceNamespace,
    string SourcePrincipal = "unknown", string DestinationPrincipal = "unknown", bool IsMutualTls = false);

/// <summary>Why a response is not simply the upstream's; the names are Envoy's.</summary>
public enum ResponseFlag : byte
{
    None,

    /// <summary>No healthy upstream.</summary>
    UH,

    /// <summary>The upstream could not be connected to.</summary>
    UF,

    /// <summary>The upstream ended the connection.</summary>
    UC,

    /// <summary>The upstream took too long.</summary>
    UT,

    /// <summary>No route.</summary>
    NR,

    /// <summary>No such cluster.</summary>
    NC,

    /// <summary>The upstream broke the protocol.</summary>
    UPE,

    /// <summary>The downstream broke the protocol.</summary>
    DPE,

    /// <summary>The downstream ended the connection.</summary>
    DC,

    /// <summary>A limit of the cluster was reached.</summary>
    UO,

    /// <summary>Nothing was sent or received for too long.</summary>
    SI,

    /// <summary>The connection was open for as long as it may be.</summary>
    DT,

    /// <summary>This proxy has too much to do.</summary>
    OM,
}

/// <summary>Counters of one set of labels, one response code and one flag, on one loop. Written by that loop alone.</summary>
public sealed class Series(int code, ResponseFlag flag)
{
    /// <summary>Istio's and Envoy's bounds, in milliseconds; the last bucket has none.</summary>
    public static readonly double[] Bounds =
        [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000];

    public int Code { get; } = code;
    public ResponseFlag Flag { get; } = flag;
    public long Count;
    public double SumMilliseconds;
    public long RequestBytes;
    public long ResponseBytes;
    public readonly long[] Buckets = new long[Bounds.Length + 1];

    public void Record(double milliseconds, long requestBytes, long responseBytes)
    {
        var bucket = 0;
        while (bucket < Bounds.Length && milliseconds > Bounds[bucket])
        {
            bucket++;
        }

        Buckets[bucket]++;
        SumMilliseconds += milliseconds;
        RequestBytes += requestBytes;
        ResponseBytes += responseBytes;

        // Last, so that a reader never sees more requests than durations.
        Volatile.Write(ref Count, Count + 1);
    }
}

/// <summary>Counters of TCP sessions, on one loop. Written by that loop alone.</summary>
public sealed class TcpSeries
{
    public long Opened;
    public long Closed;
    public long ReceivedBytes;
    public long SentBytes;
}

/// <summary>All series of one set of labels. Loops only touch their own part; readers see whole arrays.</summary>
public sealed class StatsScope(StatsLabels labels, int loops)
{
    readonly Series[][] byLoop = [.. Enumerable.Range(0, loops).Select(_ => Array.Empty<Series>())];
    readonly TcpSeries?[] tcpByLoop = new TcpSeries?[loops];

    public StatsLabels Labels { get; } = labels;

    public Series Get(int loop, int code, ResponseFlag flag)
    {
        var series = byLoop[loop];
        foreach (var candidate in series)
        {
            if (candidate.Code == code && candidate.Flag == flag)
            {
                return candidate;
            }
        }

        var added = new Series(code, flag);
        Volatile.Write(ref byLoop[loop], [.. series, added]);
        return added;
    }

    public TcpSeries Tcp(int loop) => tcpByLoop[loop] ??= new TcpSeries();

    public IEnumerable<Series> All => byLoop.SelectMany(s => s);

    public IEnumerable<TcpSeries> AllTcp => tcpByLoop.OfType<TcpSeries>();
}

/// <summary>The scopes of this proxy. They live on when configurations change, so that counters never go back.</summary>
public sealed class StatsRegistry(int loops)
{
    readonly ConcurrentDictionary<StatsLabels, StatsScope> scopes = [];

    public StatsScope Get(StatsLabels labels) => scopes.GetOrAdd(labels, l => new StatsScope(l, loops));

    public IEnumerable<StatsScope> All => scopes.Values;
}
