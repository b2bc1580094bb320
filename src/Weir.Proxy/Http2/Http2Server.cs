using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>What serves the HTTP/2 connections of one loop.</summary>
sealed class Http2Server(EventLoop loop, LinkedConnections connections, RequestHandler handler)
{
    readonly Spares<Http2ServerStream> spares = new(65_536);

    public EventLoop Loop => loop;

    public LinkedConnections Connections => connections;

    public RequestHandler Handler => handler;

    public Http2ServerStream Rent() => spares.TryTake() ?? new Http2ServerStream(this);

    public void Return(Http2ServerStream stream) => spares.TryPut(stream);

    public void Trim() => spares.Trim();
}
