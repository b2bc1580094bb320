namespace Weir.Xds.Client;

/// <summary>What can be seen of an <see cref="AdsClient"/> from any thread.</summary>
public sealed class AdsStatus
{
    long streams;
    long responses;
    long refusedResources;
    long unexpectedErrors;
    volatile bool isConnected;

    /// <summary>A response has come on the stream that is open now.</summary>
    public bool IsConnected
    {
        get => isConnected;
        internal set => isConnected = value;
    }

    /// <summary>Streams that were tried to open.</summary>
    public long Streams => Volatile.Read(ref streams);

    public long Responses => Volatile.Read(ref responses);

    public long RefusedResources => Volatile.Read(ref refusedResources);

    /// <summary>Errors of the program itself: each refused a resource or ended a stream, and was logged.</summary>
    public long UnexpectedErrors => Volatile.Read(ref unexpectedErrors);

    internal void CountStream() => Interlocked.Increment(ref streams);

    internal void CountResponse() => Interlocked.Increment(ref responses);

    internal void CountRefused(int resources) => Interlocked.Add(ref refusedResources, resources);

    internal void CountUnexpected() => Interlocked.Increment(ref unexpectedErrors);
}
