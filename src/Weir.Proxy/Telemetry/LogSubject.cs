using System.Diagnostics;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Telemetry;

/// <summary>What is known of a request or session when it is over. Times are of <see cref="Stopwatch"/>.</summary>
struct LogFacts
{
    public DateTimeOffset StartedAt;
    public long StartTicks;
    public long RequestDoneTicks;
    public long ResponseStartTicks;
    public long EndTicks;
    public int Status;
    public ResponseFlag Flag;
    public string Details;
    public long BytesReceived;
    public long BytesSent;
    public byte[] Protocol;
    public SocketAddressV4? UpstreamAddress;
    public SocketAddressV4? UpstreamLocalAddress;
    public byte[] Cluster;
    public string Route;
    public string TransportFailure;
    public int Attempts;

    /// <summary>Of an answer of gRPC's; null for any other.</summary>
    public int? GrpcStatus;

    /// <param name="startedAt">Left out where nobody will ask.</param>
    public static LogFacts Begin(DateTimeOffset startedAt) => new()
    {
        StartedAt = startedAt,
        StartTicks = Stopwatch.GetTimestamp(),
        Details = "",
        Route = "",
        TransportFailure = "",
        Cluster = [],
        Protocol = [],
    };
}

/// <summary>A request or a session as its log line sees it.</summary>
interface ILogSubject
{
    ref readonly LogFacts Facts { get; }

    Downstream Downstream { get; }

    /// <param name="name">In lower case; <c>:method</c>, <c>:path</c>, <c>:authority</c> and <c>:scheme</c> as well.</param>
    ReadOnlySpan<byte> RequestHeader(ReadOnlySpan<byte> name);

    ReadOnlySpan<byte> ResponseHeader(ReadOnlySpan<byte> name);

    ReadOnlySpan<byte> TraceId { get; }
}

/// <summary>The client's side of a connection.</summary>
/// <param name="Peer">As the PROXY protocol says, where it is spoken, else as the socket does.</param>
/// <param name="Direct">The socket's own peer.</param>
/// <param name="ServerName">From SNI; empty when there was none.</param>
sealed record Downstream(ulong Id, SocketAddressV4 Peer, SocketAddressV4 Direct, SocketAddressV4 Local, string ServerName, TlsInfo? Tls)
{
    public bool IsSecure => Tls is not null;

    /// <summary>The client's SPIFFE identity, proven by its certificate; empty without one.</summary>
    public string Principal => Tls is { IsVerified: true, Peer: { } peer } ? peer.Principal : "";

    /// <summary>Where requests of the client's identity are counted, by where those of anybody are.</summary>
    public KeyValuePair<StatsScope?, StatsScope> Scope { get; set; }
}
