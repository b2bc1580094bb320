using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>What serves the HTTP/2 connections of one loop.</summary>
sealed class Http2Server(EventLoop loop, LinkedConnections connections, RequestHandler handler)
{
    const int MillisecondsBetweenWarnings = 1000;

    readonly Spares<Http2ServerStream> spares = new(65_536);
    long nextWarning;

    public EventLoop Loop => loop;

    public LinkedConnections Connections => connections;

    public RequestHandler Handler => handler;

    /// <summary>Connections that were ended because their clients flooded them, or stalled within a frame.</summary>
    public long Floods { get; private set; }

    /// <summary>Said at most once a second: a flood of connections is none of the log.</summary>
    public void OnFlood(SocketAddressV4 client)
    {
        Floods++;
        if (loop.Now >= nextWarning)
        {
            nextWarning = loop.Now + MillisecondsBetweenWarnings;
            loop.OnWarning($"a connection of HTTP/2 from {client} is closed, because its client floods it or stalls within a frame; {Floods} so far on this loop");
        }
    }

    public Http2ServerStream Rent() => spares.TryTake() ?? new Http2ServerStream(this);

    public void Return(Http2ServerStream stream) => spares.TryPut(stream);

    public void Trim() => spares.Trim();
}
