using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Weir.Proxy.Configuration;
using Weir.Proxy.Filters;
using Weir.Proxy.Http1;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>
/// A client's connection: reads a request, finds its route, sends it to an endpoint, passes the answer back, and again. All on one
/// loop; awaits resume inline and allocate nothing from request to request.
/// </summary>
sealed partial class HttpConnection : TimerEntry, IConnection
{
    const int IdleMilliseconds = 3600_000;
    const int HeadMilliseconds = 60_000;

    /// <summary>Attempts for one request that no upstream has seen.</summary>
    const int MaximumAttempts = 3;

    readonly Worker worker;
    readonly EventLoop loop;
    readonly AsyncSocket client;
    readonly SocketAddressV4 peer;
    readonly ListenerConfiguration listener;
    readonly MessageHead request = new();
    byte[]? buffer;
    int start;
    int end;
    bool isIdle;

    // The request at hand.
    long startedAt;
    UpstreamConnection? upstream;
    Endpoint? endpoint;
    BodyReader requestBody;
    byte[]? pumpBuffer;
    int pumpStart;
    int pumpEnd;
    bool isTimedOut;
    bool clientFailed;
    long bytesReceived;
    long bytesSent;

    public HttpConnection(Worker worker, AsyncSocket client, SocketAddressV4 peer, ListenerConfiguration listener)
    {
        this.worker = worker;
        loop = worker.Loop;
        this.client = client;
        this.peer = peer;
        this.listener = listener;
    }

    public void Start() => _ = RunAsync();

    public void Drain()
    {
        if (isIdle)
        {
            client.Close();
        }
    }

    /// <summary>The time a route allows for an exchange is over.</summary>
    public override void OnDue()
    {
        isTimedOut = true;
        upstream?.Socket.Close();
    }

    async Task RunAsync()
    {
        try
        {
            while (await ReadHeadAsync() && await ServeAsync())
            {
            }
        }
        finally
        {
            client.Close();
            ReleaseBuffer();
            worker.Remove(this);
        }
    }

    /// <summary>Waits for a request and reads its head.</summary>
    /// <returns>False when there will be no more.</returns>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<bool> ReadHeadAsync()
    {
        if (start == end)
        {
            if (worker.IsDraining)
            {
                return false;
            }

            ReleaseBuffer();
            isIdle = true;
            var ready = await client.WaitReadableAsync(IdleMilliseconds);
            isIdle = false;
            if (ready < 0)
            {
                return false;
            }
        }

        buffer ??= loop.Buffers.Rent();
        var searched = 0;
        while (true)
        {
            start += searched == 0 ? HeadParser.LeadingEmptyLines(buffer.AsSpan(start, end - start)) : 0;
            var length = HeadParser.FindEnd(buffer.AsSpan(start, end - start), searched);
            if (length > 0)
            {
                startedAt = Stopwatch.GetTimestamp();
                bytesReceived = bytesSent = 0;
                endpoint = null;
                isTimedOut = clientFailed = false;
                var error = HeadParser.ParseRequest(buffer.AsSpan(start, end - start), length, request);
                return error == ParseError.None || await RefuseAsync(error);
            }

            searched = end - start;
            if (end == buffer.Length && !MakeRoom())
            {
                return await RefuseAsync(ParseError.TooManyHeaders);
            }

            var read = await client.ReadAsync(buffer.AsMemory(end), searched == 0 ? IdleMilliseconds : HeadMilliseconds);
            if (read <= 0)
            {
                if (read == -Native.EtimedOut && searched > 0)
                {
                    await ReplyAsync(408, ResponseFlag.DPE, "request head timeout"u8.ToArray(), null, keepAlive: false);
                }

                return false;
            }

            end += read;
        }
    }

    /// <summary>Moves what is there to the front, or to a larger buffer, up to the listener's limit for a head.</summary>
    bool MakeRoom()
    {
        if (start > 0)
        {
            buffer.AsSpan(start, end - start).CopyTo(buffer);
            end -= start;
            start = 0;
            return true;
        }

        if (buffer!.Length >= listener.MaximumHeadBytes)
        {
            return false;
        }

        var larger = GC.AllocateUninitializedArray<byte>(Math.Min(buffer.Length * 2, Math.Max(listener.MaximumHeadBytes, BufferPool.BufferSize)), pinned: true);
        buffer.AsSpan(0, end).CopyTo(larger);
        loop.Buffers.Return(buffer);
        buffer = larger;
        return true;
    }

    async ValueTask<bool> RefuseAsync(ParseError error)
    {
        // What cannot be read cannot be logged either, nor can anything after it be trusted.
        request.Reset();
        var (status, text) = error switch
        {
            ParseError.TooManyHeaders => (431, "the request's headers are too large or too many"),
            ParseError.VersionNotSupported => (505, "only versions 1.0 and 1.1 of HTTP are served here"),
            ParseError.BadLength => (400, "Content-Length is not one valid number"),
            ParseError.BadTransferEncoding => (400, "Transfer-Encoding must be \"chunked\" alone, without Content-Length, in HTTP/1.1"),
            ParseError.BadHost => (400, "the request must name exactly one valid host"),
            _ => (400, "the request's head is malformed"),
        };
        await ReplyAsync(status, ResponseFlag.DPE, Encoding.ASCII.GetBytes(text), null, keepAlive: false);
        return false;
    }

    /// <returns>Whether the connection can carry another request.</returns>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<bool> ServeAsync()
    {
        requestBody = new BodyReader(request.Body, request.ContentLength);
        if (listener.Kind == ListenerKind.Status)
        {
            var (status, type, body) = StatusPages.Answer(worker.Engine, PathOf(request, buffer.AsSpan(start)));
            return await ReplyAsync(status, ResponseFlag.None, body, null, keepAlive: request.Body == BodyKind.None, contentType: type);
        }

        if (request.IsConnect)
        {
            return await ReplyAsync(501, ResponseFlag.None, "CONNECT is not supported by this listener"u8.ToArray(), null, keepAlive: false);
        }

        var configuration = worker.Engine.Configuration;
        var route = configuration.Routes.TryGetValue(listener.RouteName, out var table) ? table.Match(request, buffer.AsSpan(start)) : null;
        if (route is null)
        {
            return await ReplyAsync(404, ResponseFlag.NR, [], null, keepAlive: request.Body == BodyKind.None);
        }

        if (route.Direct is { } direct)
        {
            var location = direct.Redirect is null ? null : Redirects.Location(direct.Redirect, request, buffer.AsSpan(start), route);
            return await ReplyAsync(direct.Status, ResponseFlag.None, direct.Body, null, keepAlive: request.Body == BodyKind.None, location: location, rules: route.Rules);
        }

        var target = route.Pick();
        if (!configuration.Clusters.TryGetValue(target.Cluster, out var cluster))
        {
            return await ReplyAsync(503, ResponseFlag.NC, [], null, keepAlive: request.Body == BodyKind.None);
        }

        if (route.TimeoutMilliseconds > 0)
        {
            loop.Timers.Set(this, loop.Now + route.TimeoutMilliseconds);
        }

        var result = await ForwardAsync(route, target, cluster);
        TimerWheel.Clear(this);
        return result;
    }

    /// <summary>An answer of the proxy's own.</summary>
    async ValueTask<bool> ReplyAsync(
        int status, ResponseFlag flag, byte[] body, Cluster? cluster, bool keepAlive, string contentType = "text/plain", string? location = null, HeaderRules? rules = null)
    {
        keepAlive &= request.KeepAlive && !worker.IsDraining && request.Body == BodyKind.None;
        var output = loop.Buffers.Rent();
        if (body.Length + 1024 > output.Length)
        {
            output = new byte[body.Length + 4096];
        }

        try
        {
            var length = WriteReply(output, status, body, keepAlive, contentType, location, rules ?? HeaderRules.None);
            bytesSent = request.IsHead ? 0 : body.Length;
            var sent = await client.WriteAsync(output.AsMemory(0, length), listener.StreamIdleMilliseconds);
            Record(status, sent < 0 ? ResponseFlag.DC : flag, cluster);
            if (!keepAlive && sent >= 0)
            {
                await LingerAsync();
            }

            start += request.Length;
            return keepAlive && sent >= 0;
        }
        finally
        {
            loop.Buffers.Return(output);
        }
    }

    int WriteReply(byte[] output, int status, byte[] body, bool keepAlive, string contentType, string? location, HeaderRules rules)
    {
        var writer = new HeadWriter(output);
        writer.Write("HTTP/1.1 "u8);
        writer.Write(status);
        writer.Write(" "u8);
        writer.Write(Redirects.ReasonOf(status));
        writer.Write("\r\n"u8);
        if (location is not null)
        {
            writer.WriteHeader("location"u8, Encoding.Latin1.GetBytes(location));
        }

        if (body.Length > 0)
        {
            writer.WriteHeader("content-type"u8, Encoding.ASCII.GetBytes(contentType));
        }

        rules.WriteResponse(ref writer);
        writer.Write("content-length: "u8);
        writer.Write(body.Length);
        writer.Write("\r\n"u8);
        if (!keepAlive)
        {
            writer.Write("connection: close\r\n"u8);
        }

        writer.Write("\r\n"u8);
        if (!request.IsHead)
        {
            writer.Write(body);
        }

        return writer.Length;
    }

    /// <summary>
    /// Reads on for a moment before closing: closing with unread bytes would reset the connection and could take the answer with it
    /// (RFC 9112 section 9.6).
    /// </summary>
    async ValueTask LingerAsync()
    {
        client.ShutdownWrite();
        var scratch = loop.Buffers.Rent();
        for (var i = 0; i < 64 && await client.ReadAsync(scratch, 1000) > 0; i++)
        {
        }

        loop.Buffers.Return(scratch);
    }

    void Record(int status, ResponseFlag flag, Cluster? cluster)
    {
        if (listener.Kind != ListenerKind.Http)
        {
            return;
        }

        var elapsed = Stopwatch.GetElapsedTime(startedAt);
        if ((endpoint?.Scope ?? cluster?.Scope) is { } scope)
        {
            scope.Get(loop.Index, status, flag).Record(elapsed.TotalMilliseconds, bytesReceived, bytesSent);
        }

        if (listener.HasAccessLog)
        {
            var head = buffer.AsSpan(start);
            worker.AccessLog.Write(
                request.Method.Of(head), request.Target.Length == 0 ? "/"u8 : request.Target.Of(head), request.Authority.Of(head), request.IsHttp10,
                status, flag, bytesReceived, bytesSent, (long)elapsed.TotalMilliseconds, endpoint?.Address, cluster is null ? default : cluster.NameBytes);
        }
    }

    static ReadOnlySpan<byte> PathOf(MessageHead head, ReadOnlySpan<byte> bytes)
    {
        var target = head.Target.Of(bytes);
        var question = target.IndexOf((byte)'?');
        return question < 0 ? target : target[..question];
    }

    void ReleaseBuffer()
    {
        start = end = 0;
        if (buffer is { } held)
        {
            buffer = null;
            loop.Buffers.Return(held);
        }
    }
}
