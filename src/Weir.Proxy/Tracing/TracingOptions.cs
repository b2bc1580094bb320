namespace Weir.Proxy.Tracing;

public enum SpanProtocol
{
    /// <summary>OTLP over HTTP, in protobuf.</summary>
    Otlp,

    /// <summary>Zipkin's v2 JSON.</summary>
    Zipkin,
}

/// <summary>Which requests are traced, and where their spans go.</summary>
/// <param name="Cluster">Of the collector.</param>
/// <param name="RandomShare">Of requests that bring no decision, in millionths.</param>
/// <param name="OverallShare">Upper bound over all that are traced, in millionths.</param>
sealed record TracingOptions(
    SpanProtocol Protocol, LoadBalancing.ClusterSlot Cluster, string Path, string Host, string ServiceName, uint RandomShare, uint OverallShare,
    int MaximumPathLength, IReadOnlyList<SpanTag> Tags);

/// <summary>A tag of the configuration's: a fixed value, or that of a request header.</summary>
/// <param name="Header">In lower case; empty for a fixed value.</param>
sealed record SpanTag(string Name, string Value, byte[] Header);

/// <summary>One traced request, when it is over.</summary>
/// <param name="StartNanoseconds">Since the epoch.</param>
sealed record Span(
    TraceContext Context, bool IsServer, string Name, long StartNanoseconds, long EndNanoseconds, bool IsError, IReadOnlyList<KeyValuePair<string, string>> Tags);
