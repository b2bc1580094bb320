using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// Bounds what a peer can make us do without asking for anything that serves it: cancelled requests (CVE-2023-44487), streams that it
/// makes us reset (CVE-2025-8671), PING, SETTINGS, PRIORITY, empty frames (CVE-2019-9512 to 9518), window updates out of proportion.
/// Each has an allowance that time fills up again, and for cheap frames the streams that are opened as well.
/// </summary>
sealed class FloodGuard(EventLoop loop, Http2Options options)
{
    /// <summary>
    /// Streams that may be reset at once, by either side, and how many more for each second that passes. Each stream that comes to its
    /// end allows another: an honest client that many requests of many users share may cancel as many of them as it lets be answered.
    /// </summary>
    const int MaximumResets = 400;
    const int ResetsPerSecond = 100;

    /// <summary>Other frames that move nothing.</summary>
    const int MaximumIdleFrames = 2000;
    const int IdleFramesPerSecond = 500;
    const int IdleFramesPerStream = 2;

    const int MaximumWindowUpdates = 1000;

    /// <summary>A sender that ends its content with an empty frame is common; a row of them is not.</summary>
    const int EmptyFramesFactor = 16;

    long since;
    int resets = MaximumResets;
    int idleFrames = MaximumIdleFrames;
    int emptyFrames;
    long streams;
    long windowUpdates;

    /// <summary>A stream was opened by the peer, or by us.</summary>
    public void CountStream()
    {
        streams++;
        idleFrames = Math.Min(MaximumIdleFrames, idleFrames + IdleFramesPerStream);
    }

    /// <summary>A stream has come to its end.</summary>
    public void CountEnd() => resets = Math.Min(MaximumResets, resets + 1);

    /// <summary>A stream was reset before its time. Like the others below: false when it is a flood.</summary>
    public bool TryReset()
    {
        Refill();
        return --resets >= 0;
    }

    /// <summary>A frame that moves nothing.</summary>
    public bool TryIdleFrame()
    {
        Refill();
        return --idleFrames >= 0;
    }

    /// <summary>DATA without content or end.</summary>
    public bool TryEmptyFrame() => ++emptyFrames <= (long)options.MaximumEmptyFrames * EmptyFramesFactor && TryIdleFrame();

    /// <summary>DATA with content.</summary>
    public void CountContent() => emptyFrames = 0;

    /// <param name="dataFrames">That we have sent.</param>
    public bool TryWindowUpdate(long dataFrames) =>
        ++windowUpdates <= MaximumWindowUpdates + (2 * (streams + (dataFrames * options.MaximumWindowUpdatesPerDataFrame)));

    void Refill()
    {
        var passed = loop.Now - since;
        if (passed < 100)
        {
            return;
        }

        since = loop.Now;
        var seconds = Math.Min(passed, 10_000) / 1000.0;
        resets = (int)Math.Min(MaximumResets, resets + (seconds * ResetsPerSecond));
        idleFrames = (int)Math.Min(MaximumIdleFrames, idleFrames + (seconds * IdleFramesPerSecond));
    }
}
