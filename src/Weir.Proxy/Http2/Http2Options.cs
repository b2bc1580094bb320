namespace Weir.Proxy.Http2;

/// <summary>How HTTP/2 is spoken on connections of one kind; names and defaults are Envoy's where not said otherwise.</summary>
sealed record Http2Options
{
    /// <summary>RFC 9113 section 6.9.2: less than this cannot be said, only learned.</summary>
    public const int SmallestWindow = 65_535;

    const int SmallestConnectionWindow = 1024 * 1024;
    const int LargestConnectionWindow = 256 * 1024 * 1024;

    public static readonly Http2Options Default = new();

    /// <summary>Of the table that headers are compressed by, as the peer may fill it.</summary>
    public int HpackTableBytes { get; init; } = 4096;

    /// <summary>Envoy's default is without limit; this one is what it recommends at an edge.</summary>
    public int MaximumConcurrentStreams { get; init; } = 100;

    /// <summary>What a peer may send ahead on one stream. Smaller than Envoy's, because it is what a stream may cost.</summary>
    public int StreamWindowBytes { get; init; } = SmallestWindow;

    /// <summary>
    /// Of all streams together. Where nothing is said it is what they may send ahead, so that streams whose content nobody takes do not
    /// hold up the others, which may be other users'.
    /// </summary>
    public int ConnectionWindowBytes
    {
        get => field > 0 ? field : (int)Math.Clamp((long)MaximumConcurrentStreams * StreamWindowBytes, SmallestConnectionWindow, LargestConnectionWindow);
        init;
    }

    /// <summary>RFC 8441: WebSocket and others by extended CONNECT.</summary>
    public bool AllowsConnect { get; init; }

    /// <summary>Frames that wait to be written because the peer asked for them: PING, SETTINGS, RST_STREAM; more is a flood, and ends the connection.</summary>
    public int MaximumOutboundControlFrames { get; init; } = 1000;

    /// <summary>HEADERS, CONTINUATION and DATA without content or end, one after the other.</summary>
    public int MaximumEmptyFrames { get; init; } = 1;
    public int MaximumWindowUpdatesPerDataFrame { get; init; } = 10;

    /// <summary>Between PINGs that ask whether the peer is alive; 0 for none.</summary>
    public int PingIntervalMilliseconds { get; init; }
    public int PingTimeoutMilliseconds { get; init; }
}
