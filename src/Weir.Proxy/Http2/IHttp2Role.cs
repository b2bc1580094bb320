namespace Weir.Proxy.Http2;

/// <summary>Whose connection it is: what a client's and an upstream's do differently, beside what is in <see cref="IHeadReceiver"/>.</summary>
interface IHttp2Role
{
    /// <summary>A PING of ours has come back.</summary>
    void OnPingAnswered();

    /// <summary>The peer has said that it goes away: no more streams than those up to this one.</summary>
    void OnGoAway(int lastStream);

    /// <summary>A stream is over; another may be opened.</summary>
    void OnStreamClosed();

    /// <summary>The peer asks for more than it may (<see cref="FloodGuard"/>), does not read what it asked for, or stalls within a frame: the connection is about to end for it.</summary>
    void OnFlood();

    /// <summary>Nothing more can be sent or received; the streams have been told.</summary>
    void OnClosed();
}
