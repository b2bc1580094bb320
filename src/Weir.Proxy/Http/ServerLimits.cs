namespace Weir.Proxy.Http;

/// <summary>What a client's connection is allowed, in any version of HTTP. Times are milliseconds; 0 is none.</summary>
record ServerLimits
{
    public const int DefaultHeadBytes = 60 * 1024;
    public const int DefaultStreamIdle = 300_000;

    /// <summary>Of a request and its answer, without a byte of content or a head either way.</summary>
    public int StreamIdleMilliseconds { get; init; } = DefaultStreamIdle;

    /// <summary>Without a request.</summary>
    public int ConnectionIdleMilliseconds { get; init; } = 3600_000;
    public int MaximumConnectionMilliseconds { get; init; }
    public int MaximumRequestsPerConnection { get; init; }

    /// <summary>From the first byte of a head to its last.</summary>
    public int HeadMilliseconds { get; init; } = 60_000;

    /// <summary>After the last answer, for the client to read it.</summary>
    public int DelayedCloseMilliseconds { get; init; } = 1000;
    public int MaximumHeadBytes { get; init; } = DefaultHeadBytes;
    public int MaximumHeaders { get; init; } = HeaderList.Maximum;
}
