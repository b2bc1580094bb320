namespace Weir.Proxy.Http2;

/// <summary>What the two sides of a connection do differently.</summary>
interface IHttp2Role
{
    bool IsServer { get; }

    /// <summary>Nobody has opened a stream of this number yet (RFC 9113 section 5.1).</summary>
    bool IsIdle(int id);

    /// <summary>A field block has come that opens a stream, answers on one, or ends one. The session has checked nothing but its frame.</summary>
    /// <param name="state">Null when there is no such stream, or it was reset.</param>
    /// <returns>The connection's error, if any.</returns>
    Http2ErrorCode OnHead(int id, StreamState? state, ReadOnlySpan<byte> block, bool isEnd);

    /// <summary>The peer keeps to our settings from here on.</summary>
    void OnSettingsAcknowledged();

    /// <summary>The peer has said that it goes away: no more streams than those up to this one.</summary>
    void OnGoAway(int lastStream);

    /// <summary>A stream is over; another may be opened.</summary>
    void OnStreamClosed();

    /// <summary>The peer asks for more than it may (<see cref="FloodGuard"/>), does not read what it asked for, or stalls within a frame: the connection is about to end for it.</summary>
    void OnFlood();

    /// <summary>Nothing more can be sent or received; the streams have been told.</summary>
    void OnClosed();
}
