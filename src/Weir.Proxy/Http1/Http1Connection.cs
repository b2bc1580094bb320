using Weir.Proxy.Http;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Http1;

/// <summary>What serves the HTTP/1.1 connections of one loop.</summary>
sealed class Http1Server(EventLoop loop, LinkedConnections connections, RequestHandler handler)
{
    readonly Spares<Http1ServerStream> spares = new(65_536);

    public EventLoop Loop => loop;

    public LinkedConnections Connections => connections;

    public RequestHandler Handler => handler;

    /// <summary>Takes over a connection whose client has begun to speak HTTP/2: what it sent so far is in the last argument.</summary>
    public Action<Http1Connection, byte[]>? OnHttp2Preface { get; set; }

    public Http1ServerStream Rent() => spares.TryTake() ?? new Http1ServerStream(this);

    public void Return(Http1ServerStream stream) => spares.TryPut(stream);

    public void Trim() => spares.Trim();
}

/// <summary>
/// A client's connection. While it is idle this is all there is of it: what serving takes is borrowed for as long as there is something
/// to serve, so that idle connections cost little.
/// </summary>
sealed class Http1Connection(Http1Server server, TcpSocket socket, Downstream downstream, ServerLimits limits, object servedBy) : Connection(servedBy)
{
    Lifetime? lifetime;
    Http1ServerStream? stream;
    bool isRetired;
    int requests;
    bool isLingering;

    public TcpSocket Socket => socket;

    public Downstream Downstream => downstream;

    public ServerLimits Limits => limits;

    /// <summary>HTTP/2 with prior knowledge is spoken here as well.</summary>
    public bool AllowsHttp2 { get; init; }

    public bool IsFirstRequest => requests == 0;

    /// <summary>The last request has been taken: its answer tells the client so.</summary>
    public bool IsLast => isRetired || server.Connections.IsDraining || (limits.MaximumRequestsPerConnection > 0 && requests >= limits.MaximumRequestsPerConnection);

    public override void Begin()
    {
        socket.Handler = this;
        if (limits.MaximumConnectionMilliseconds > 0)
        {
            server.Loop.Timers.Set(lifetime = new Lifetime(this), server.Loop.Now + limits.MaximumConnectionMilliseconds);
        }

        Rest();
    }

    public override void Drain()
    {
        // The next answer says that it is the last.
    }

    public override bool CloseIdle(bool evenUsed)
    {
        if (stream is not null || isLingering || (requests > 0 && !evenUsed))
        {
            return false;
        }

        End();
        return true;
    }

    public override void Retire() => isRetired = true;

    public void CountRequest() => requests++;

    /// <summary>All that had come has been served: waits for the next request.</summary>
    public void Rest()
    {
        stream = null;
        if (socket.IsReadable)
        {
            Serve();
        }
        else if (limits.ConnectionIdleMilliseconds > 0)
        {
            server.Loop.Timers.Set(this, server.Loop.Now + limits.ConnectionIdleMilliseconds);
        }
    }

    public override void OnReady()
    {
        if (stream is not null)
        {
            stream.OnReady();
        }
        else if (isLingering)
        {
            ReadOver();
        }
        else if (socket.IsOpen && socket.IsReadable)
        {
            Serve();
        }
    }

    void Serve()
    {
        TimerWheel.Clear(this);
        stream = server.Rent();
        stream.Begin(this);
    }

    /// <summary>The last answer is sent: what still comes is read over, for as long as the close may be delayed.</summary>
    public void Linger()
    {
        stream = null;
        socket.ShutdownWrite();
        if (limits.DelayedCloseMilliseconds == 0)
        {
            End();
            return;
        }

        isLingering = true;
        server.Loop.Timers.Set(this, server.Loop.Now + limits.DelayedCloseMilliseconds);
        server.Loop.Defer(this);
    }

    void ReadOver()
    {
        if (!Leftovers.ReadOver(socket, server.Loop, this))
        {
            End();
        }
    }

    /// <summary>The client speaks HTTP/2.</summary>
    public void HandOver(byte[] sent) => server.OnHttp2Preface!(this, sent);

    /// <summary>It has been idle, or has lingered, for too long.</summary>
    public override void OnDue()
    {
        if (stream is null)
        {
            End();
        }
    }

    public override void Cut()
    {
        if (stream is { } serving)
        {
            // To whoever serves it is as if the client had gone.
            socket.Abort();
            serving.OnReady();
        }
        else
        {
            Abandon();
        }
    }

    public override void Abandon()
    {
        if (stream is { } serving)
        {
            serving.Abandon();
        }
        else if (isLingering)
        {
            Abort();
        }
        else
        {
            End();
        }
    }

    public void End()
    {
        socket.Close();
        Leave();
    }

    public void Abort()
    {
        socket.Abort();
        Leave();
    }

    /// <summary>Nothing of it is left; the socket is another's or closed.</summary>
    public void Leave()
    {
        stream = null;
        isLingering = false;
        server.Loop.Timers.Remove(this);
        if (lifetime is not null)
        {
            server.Loop.Timers.Remove(lifetime);
        }

        server.Connections.Remove(this);
    }

    /// <summary>Ends the connection when it has been open for as long as it may be.</summary>
    sealed class Lifetime(Http1Connection connection) : TimerEntry
    {
        public override void OnDue()
        {
            connection.isRetired = true;
            connection.CloseIdle(evenUsed: true);
        }
    }
}
