namespace Weir.Proxy.Telemetry;

/// <summary>
/// Counters of one set of labels, one response code, one flag and one gRPC status, on one loop. Written by that loop alone; any thread may read.
/// </summary>
/// <param name="grpcStatus">Null for what is not gRPC.</param>
public sealed class Series(int code, ResponseFlag flag, int? grpcStatus = null)
{
    /// <summary>Istio's and Envoy's bounds, in milliseconds; the last bucket has none.</summary>
    public static readonly double[] Bounds =
        [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000];

    public int Code { get; } = code;
    public ResponseFlag Flag { get; } = flag;
    public int? GrpcStatus { get; } = grpcStatus;
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
