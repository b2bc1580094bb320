using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Bench;

/// <summary>What a load did. Latencies are microseconds, from when a request was due to when its answer had come whole.</summary>
sealed class LoadResult
{
    public long Requests;
    public long Bytes;
    public long Failures;
    public TimeSpan Elapsed;

    /// <summary>What failed, where the load knows.</summary>
    public string Detail = "";

    public readonly List<int> Latencies = [];

    /// <summary>When each of the latencies' answers had come, where a plan asks for it.</summary>
    public readonly List<long> Times = [];

    public int Percentile(double part)
    {
        if (Latencies.Count == 0)
        {
            return 0;
        }

        Latencies.Sort();
        return Latencies[Math.Min((int)(Latencies.Count * part), Latencies.Count - 1)];
    }
}

/// <summary>How requests are made.</summary>
/// <param name="Rate">Requests a second over all connections, each due at its time whatever became of those before; 0 for as many as come back.</param>
/// <param name="MessageBytes">Of the echo of bytes; 0 for HTTP.</param>
sealed record LoadPlan(
    SocketAddressV4 Target, string Path = "/1k", int Connections = 64, double Rate = 0, bool NewConnectionEach = false, TlsContext? Tls = null,
    int MessageBytes = 0, bool HandshakeOnly = false)
{
    /// <summary>Not where requests are too many to be kept account of one by one.</summary>
    public bool KeepsLatencies { get; init; } = true;

    public bool KeepsTimes { get; init; }

    /// <summary>Ends the load before its time.</summary>
    public CancellationToken Stop { get; init; }
}
