using System.Runtime.CompilerServices;
using Weir.Proxy.Http1;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>The way of one request to an upstream and back: connect, send, relay.</summary>
sealed partial class HttpConnection
{
    static readonly byte[] NoHealthyUpstream = "no healthy upstream"u8.ToArray();
    static readonly byte[] ConnectFailed = "upstream connect error or disconnect/reset before headers. reset reason: connection failure"u8.ToArray();
    static readonly byte[] ConnectionEnded = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"u8.ToArray();
    static readonly byte[] ProtocolBroken = "upstream connect error or disconnect/reset before headers. reset reason: protocol error"u8.ToArray();
    static readonly byte[] TimedOut = "upstream request timeout"u8.ToArray();
    static readonly byte[] Continue = "HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray();

    /// <summary>What came of sending the request and waiting for the head of the answer.</summary>
    enum Attempt : byte
    {
        Answered,
        ConnectFailed,

        /// <summary>Not a byte of an answer came.</summary>
        Reset,
        ProtocolError,
        ClientFailed,
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<bool> ForwardAsync(Route route, WeightedTarget target, Cluster cluster)
    {
        var outcome = Attempt.ConnectFailed;
        ValueTask<bool> pump = default;
        var isPumping = false;
        for (var attempt = 0; attempt < MaximumAttempts; attempt++)
        {
            endpoint = worker.Balancer.Pick(cluster, endpoint);
            if (endpoint is null)
            {
                return await ReplyAsync(503, ResponseFlag.UH, NoHealthyUpstream, cluster, keepAlive: true);
            }

            var host = worker.Hosts.Of(endpoint.Address);
            host.ActiveRequests++;

            // A second try does not trust kept connections again: they may all have been closed at once.
            upstream = attempt == 0 ? host.TakeIdle() : null;
            var isReused = upstream is not null;
            if (upstream is null && !await ConnectAsync(host, cluster))
            {
                host.ActiveRequests--;
                outcome = Attempt.ConnectFailed;
                if (isTimedOut)
                {
                    break;
                }

                continue;
            }

            outcome = await SendHeadAsync(route, target);
            if (outcome == Attempt.Answered)
            {
                if (!requestBody.IsDone)
                {
                    isPumping = true;
                    pump = PumpRequestAsync();
                }

                outcome = await ReadResponseHeadAsync();
                if (outcome == Attempt.Answered)
                {
                    break;
                }
            }

            host.ActiveRequests--;
            if (isPumping || isTimedOut || !isReused || outcome != Attempt.Reset || !IsSafeToRepeat())
            {
                break;
            }

            // The peer closed a connection it had kept open just as it was used again: it has not seen the request.
            CloseUpstream();
        }

        if (outcome == Attempt.Answered)
        {
            var keep = await RelayAsync(route, target, cluster, pump, isPumping);
            return keep;
        }

        CloseUpstream();
        if (isPumping)
        {
            client.CancelRead(Native.Ecanceled);
            await pump;
        }

        var (status, flag, text) = (isTimedOut, outcome) switch
        {
            (true, _) => (504, ResponseFlag.UT, TimedOut),
            (_, Attempt.ConnectFailed) => (503, ResponseFlag.UF, ConnectFailed),
            (_, Attempt.ProtocolError) => (502, ResponseFlag.UPE, ProtocolBroken),
            (_, Attempt.ClientFailed) => (0, ResponseFlag.DC, []),
            _ => (503, ResponseFlag.UC, ConnectionEnded),
        };
        if (clientFailed || outcome == Attempt.ClientFailed)
        {
            Record(0, ResponseFlag.DC, cluster);
            ReleasePump();
            return false;
        }

        var more = await ReplyAsync(status, flag, text, cluster, keepAlive: !isPumping);
        ReleasePump();
        return more;
    }

    async ValueTask<bool> ConnectAsync(UpstreamHost host, Cluster cluster)
    {
        upstream = host.Create();
        if (upstream is null)
        {
            return false;
        }

        if (await upstream.Socket.ConnectAsync(upstream.Address, cluster.ConnectTimeoutMilliseconds) == 0 && !isTimedOut)
        {
            return true;
        }

        CloseUpstream();
        return false;
    }

    /// <summary>A request without a body whose method promises that doing it twice is doing it once (RFC 9110 section 9.2.2).</summary>
    bool IsSafeToRepeat()
    {
        var method = request.Method.Of(buffer.AsSpan(start));
        return request.Body == BodyKind.None
            && (method.SequenceEqual("GET"u8) || method.SequenceEqual("HEAD"u8) || method.SequenceEqual("OPTIONS"u8)
                || method.SequenceEqual("PUT"u8) || method.SequenceEqual("DELETE"u8) || method.SequenceEqual("TRACE"u8));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<Attempt> SendHeadAsync(Route route, WeightedTarget target)
    {
        var output = loop.Buffers.Rent();
        if (request.Length + 2048 > output.Length)
        {
            loop.Buffers.Return(output);
            output = GC.AllocateUninitializedArray<byte>(request.Length + 4096, pinned: true);
        }

        try
        {
            // As much of the body as came with the head goes out with the head.
            requestBody = new BodyReader(request.Body, request.ContentLength);
            var length = WriteRequestHead(output, route, target);
            if (length < 0)
            {
                return Attempt.ProtocolError;
            }

            pumpStart = start + request.Length;
            if (request.Body != BodyKind.None)
            {
                var room = Math.Min(end - pumpStart, output.Length - length);
                var taken = requestBody.Advance(buffer.AsSpan(pumpStart, room));
                buffer.AsSpan(pumpStart, taken).CopyTo(output.AsSpan(length));
                length += taken;
                pumpStart += taken;
                bytesReceived = taken;
                if (requestBody.IsBroken)
                {
                    clientFailed = true;
                    return Attempt.ClientFailed;
                }
            }

            if (request.ExpectsContinue && !requestBody.IsDone && await client.WriteAsync(Continue, listener.StreamIdleMilliseconds) < 0)
            {
                clientFailed = true;
                return Attempt.ClientFailed;
            }

            var sent = await upstream!.Socket.WriteAsync(output.AsMemory(0, length), listener.StreamIdleMilliseconds);

            // A peer that has answered and gone may still have left its answer to be read.
            return sent >= 0 || (upstream.Socket.IsPeerDone && upstream.Socket.IsOpen) ? Attempt.Answered : Attempt.Reset;
        }
        finally
        {
            loop.Buffers.Return(output);
        }
    }

    /// <returns>The length, or -1 if it does not fit.</returns>
    int WriteRequestHead(byte[] output, Route route, WeightedTarget target)
    {
        ReadOnlySpan<byte> head = buffer.AsSpan(start);
        var writer = new HeadWriter(output);
        writer.Write(request.Method.Of(head));
        writer.Write(" "u8);
        WriteTarget(ref writer, head, route);
        writer.Write(" HTTP/1.1\r\nhost: "u8);
        writer.Write(route.HostRewrite.Length > 0 ? route.HostRewrite : request.Authority.Of(head));
        writer.Write("\r\n"u8);
        var hasRequestId = false;
        for (var i = 0; i < request.Headers.Count; i++)
        {
            ref readonly var header = ref request.Headers[i];
            var name = header.Name.Of(head);
            if (header.Known is KnownHeader.Other && !route.Rules.RemovesFromRequest(name) && !target.Rules.RemovesFromRequest(name))
            {
                if (listener.IsGateway && IsForwarded(name))
                {
                    continue;
                }

                hasRequestId |= name.Length == 12 && Ascii.EqualsLower(name, "x-request-id"u8);
                writer.WriteHeader(name, header.Value.Of(head));
            }
        }

        if (request.Body == BodyKind.Chunked)
        {
            writer.Write("transfer-encoding: chunked\r\n"u8);
        }
        else if (request.ContentLength >= 0)
        {
            writer.Write("content-length: "u8);
            writer.Write(request.ContentLength);
            writer.Write("\r\n"u8);
        }

        if (listener.IsGateway)
        {
            // The edge of the mesh: what a client claims about itself is not believed.
            Span<byte> address = stackalloc byte[24];
            writer.WriteHeader("x-forwarded-for"u8, address[..peer.Format(address, false)]);
            writer.Write("x-forwarded-proto: http\r\n"u8);
        }

        if (!hasRequestId)
        {
            Span<byte> id = stackalloc byte[36];
            writer.WriteHeader("x-request-id"u8, worker.RequestIds.Next(id));
        }

        route.Rules.WriteRequest(ref writer);
        target.Rules.WriteRequest(ref writer);
        writer.Write("\r\n"u8);
        return writer.IsFull ? -1 : writer.Length;
    }

    static bool IsForwarded(ReadOnlySpan<byte> name) =>
        (name.Length == 15 && Ascii.EqualsLower(name, "x-forwarded-for"u8)) || (name.Length == 17 && Ascii.EqualsLower(name, "x-forwarded-proto"u8));

    void WriteTarget(ref HeadWriter writer, ReadOnlySpan<byte> head, Route route)
    {
        var original = request.Target.Length == 0 ? "/"u8 : request.Target.Of(head);
        if (original[0] == '?')
        {
            writer.Write("/"u8);
        }

        if (route.PrefixRewrite.Length == 0 || original.Length < route.PathLength)
        {
            writer.Write(original);
            return;
        }

        writer.Write(route.PrefixRewrite);
        writer.Write(original[route.PathLength..]);
    }

    /// <summary>Sends the rest of the request's body while the answer may already be coming.</summary>
    async ValueTask<bool> PumpRequestAsync()
    {
        // The head's buffer stays as it is: the log still needs it.
        pumpBuffer = loop.Buffers.Rent();
        pumpEnd = end - pumpStart;
        var target = upstream!.Socket;
        if (pumpEnd > pumpBuffer.Length)
        {
            loop.Buffers.Return(pumpBuffer);
            pumpBuffer = GC.AllocateUninitializedArray<byte>(pumpEnd, pinned: true);
        }

        buffer.AsSpan(pumpStart, pumpEnd).CopyTo(pumpBuffer);
        end = pumpStart;
        pumpStart = 0;
        while (true)
        {
            var taken = requestBody.Advance(pumpBuffer.AsSpan(pumpStart, pumpEnd - pumpStart));
            if (requestBody.IsBroken)
            {
                clientFailed = true;
                target.Close();
                return false;
            }

            if (taken > 0 && await target.WriteAsync(pumpBuffer.AsMemory(pumpStart, taken), listener.StreamIdleMilliseconds) < 0)
            {
                // The upstream wants no more; its answer may say why.
                return false;
            }

            pumpStart += taken;
            bytesReceived += taken;
            if (requestBody.IsDone)
            {
                return true;
            }

            var read = await client.ReadAsync(pumpBuffer, listener.StreamIdleMilliseconds);
            if (read <= 0)
            {
                if (read != -Native.Ecanceled)
                {
                    clientFailed = true;
                    target.Close();
                }

                return false;
            }

            pumpStart = 0;
            pumpEnd = read;
        }
    }

    /// <summary>Reads heads until a final one, passing interim answers on to clients that know them.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<Attempt> ReadResponseHeadAsync()
    {
        var isFirst = true;
        var connection = upstream!;
        var bytes = connection.HoldBuffer();
        while (true)
        {
            var searched = 0;
            int length;
            while ((length = HeadParser.FindEnd(bytes.AsSpan(connection.Start, connection.End - connection.Start), searched)) < 0)
            {
                searched = connection.End - connection.Start;
                if (connection.End == bytes.Length)
                {
                    return Attempt.ProtocolError;
                }

                var read = await connection.Socket.ReadAsync(bytes.AsMemory(connection.End), listener.StreamIdleMilliseconds);
                if (read <= 0)
                {
                    isTimedOut |= read == -Native.EtimedOut;
                    return searched == 0 && isFirst ? Attempt.Reset : Attempt.ProtocolError;
                }

                connection.End += read;
            }

            isFirst = false;
            var head = connection.Head;
            if (HeadParser.ParseResponse(bytes.AsSpan(connection.Start), length, head, request.IsHead) != ParseError.None || head.Status == 101)
            {
                return Attempt.ProtocolError;
            }

            if (head.Status >= 200)
            {
                return Attempt.Answered;
            }

            // Its own 100 has been sent by the proxy; HTTP/1.0 clients know no interim answers (RFC 9110 section 15.2).
            if (head.Status != 100 && !request.IsHttp10
                && await client.WriteAsync(bytes.AsMemory(connection.Start, length), listener.StreamIdleMilliseconds) < 0)
            {
                clientFailed = true;
                return Attempt.ClientFailed;
            }

            connection.Start += length;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<bool> RelayAsync(Route route, WeightedTarget target, Cluster cluster, ValueTask<bool> pump, bool isPumping)
    {
        var connection = upstream!;
        var head = connection.Head;

        // Without a length the end of the connection is the end of the answer, for the client as well.
        var removesChunks = head.Body == BodyKind.Chunked && request.IsHttp10;
        // An error before the whole request has come most often means that the rest is not wanted.
        var isRefusal = isPumping && !pump.IsCompleted && head.Status >= 400;
        var keepAlive = request.KeepAlive && !worker.IsDraining && head.Body != BodyKind.UntilClose && !removesChunks && !isRefusal;
        var body = new BodyReader(head.Body, head.ContentLength);
        var output = loop.Buffers.Rent();
        var failure = ResponseFlag.None;
        try
        {
            var length = WriteResponseHead(output, connection, route, target, keepAlive, removesChunks);
            if (length < 0)
            {
                failure = ResponseFlag.UPE;
            }
            else
            {
                connection.Start += head.Length;
                failure = await RelayBodyAsync(connection, output, length, removesChunks, body);
            }
        }
        finally
        {
            loop.Buffers.Return(output);
        }

        var requestDone = !isPumping || pump.IsCompleted;
        if (!requestDone || failure != ResponseFlag.None)
        {
            // Answered before all was sent, or cut off: neither connection can be used again.
            CloseUpstream(endpoint);
            client.CancelRead(Native.Ecanceled);
            keepAlive = false;
        }

        if (isPumping)
        {
            keepAlive &= await pump;
        }

        Record(head.Status, failure, cluster);
        if (upstream is not null)
        {
            ReturnUpstream(keepUpstream: head.KeepAlive && head.Body != BodyKind.UntilClose && connection.Start == connection.End && (!isPumping || requestBody.IsDone));
        }

        AdvancePastRequest(isPumping);
        if (!keepAlive && failure == ResponseFlag.None)
        {
            await LingerAsync();
        }

        return keepAlive;
    }

    /// <summary>Sends the head that is in <paramref name="output"/>, with as much of the body as has come, and then the rest as it comes.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<ResponseFlag> RelayBodyAsync(UpstreamConnection connection, byte[] output, int length, bool removesChunks, BodyReader body)
    {
        var bytes = connection.Buffer!;
        var first = TakeBody(ref body, connection, output.AsSpan(length), removesChunks);
        bytesSent += first;
        if (await client.WriteAsync(output.AsMemory(0, length + first), listener.StreamIdleMilliseconds) < 0)
        {
            return ResponseFlag.DC;
        }

        while (!body.IsDone && !body.IsBroken)
        {
            if (connection.Start == connection.End)
            {
                var read = await connection.Socket.ReadAsync(bytes, listener.StreamIdleMilliseconds);
                if (read <= 0)
                {
                    // The end of the connection is the end of the body only where nothing else marks it.
                    return read == 0 && connection.Head.Body == BodyKind.UntilClose && !isTimedOut ? ResponseFlag.None
                        : isTimedOut || read == -Native.EtimedOut ? ResponseFlag.UT : ResponseFlag.UC;
                }

                connection.Start = 0;
                connection.End = read;
            }

            int sent;
            if (removesChunks)
            {
                var taken = body.AdvanceContent(bytes.AsSpan(connection.Start, connection.End - connection.Start), out var content);
                sent = await client.WriteAsync(bytes.AsMemory(connection.Start + content.Start, content.Length), listener.StreamIdleMilliseconds);
                connection.Start += taken;
                bytesSent += content.Length;
            }
            else
            {
                var taken = body.Advance(bytes.AsSpan(connection.Start, connection.End - connection.Start));
                sent = await client.WriteAsync(bytes.AsMemory(connection.Start, taken), listener.StreamIdleMilliseconds);
                connection.Start += taken;
                bytesSent += taken;
            }

            if (sent < 0)
            {
                return ResponseFlag.DC;
            }
        }

        return body.IsBroken ? ResponseFlag.UPE : ResponseFlag.None;
    }

    /// <summary>Copies what there is of the body behind the head, so that small answers take one write.</summary>
    static int TakeBody(ref BodyReader body, UpstreamConnection connection, Span<byte> room, bool removesChunks)
    {
        if (removesChunks)
        {
            return 0;
        }

        var available = Math.Min(connection.End - connection.Start, room.Length);
        var taken = body.Advance(connection.Buffer.AsSpan(connection.Start, available));
        connection.Buffer.AsSpan(connection.Start, taken).CopyTo(room);
        connection.Start += taken;
        return taken;
    }

    int WriteResponseHead(byte[] output, UpstreamConnection connection, Route route, WeightedTarget target, bool keepAlive, bool removesChunks)
    {
        var head = connection.Head;
        ReadOnlySpan<byte> bytes = connection.Buffer.AsSpan(connection.Start);
        var writer = new HeadWriter(output);
        writer.Write("HTTP/1.1 "u8);
        writer.Write(head.Status);
        writer.Write(" "u8);
        writer.Write(head.Reason.Of(bytes));
        writer.Write("\r\n"u8);
        for (var i = 0; i < head.Headers.Count; i++)
        {
            ref readonly var header = ref head.Headers[i];
            var name = header.Name.Of(bytes);
            if (header.Known is KnownHeader.Other or KnownHeader.Host or KnownHeader.Expect or KnownHeader.ContentLength
                && !route.Rules.RemovesFromResponse(name) && !target.Rules.RemovesFromResponse(name))
            {
                writer.WriteHeader(name, header.Value.Of(bytes));
            }
        }

        if (head.Body == BodyKind.Chunked && !removesChunks)
        {
            writer.Write("transfer-encoding: chunked\r\n"u8);
        }

        route.Rules.WriteResponse(ref writer);
        target.Rules.WriteResponse(ref writer);
        if (!keepAlive)
        {
            writer.Write("connection: close\r\n"u8);
        }
        else if (request.IsHttp10)
        {
            writer.Write("connection: keep-alive\r\n"u8);
        }

        writer.Write("\r\n"u8);
        return writer.IsFull ? -1 : writer.Length;
    }

    /// <summary>Leaves what follows the request, if it was pipelined, as the beginning of the next.</summary>
    void AdvancePastRequest(bool wasPumping)
    {
        if (!wasPumping)
        {
            start = request.Body == BodyKind.None ? start + request.Length : pumpStart;
            return;
        }

        ReleaseBuffer();
        buffer = pumpBuffer;
        start = pumpStart;
        end = pumpEnd;
        pumpBuffer = null;
    }

    void ReleasePump()
    {
        if (pumpBuffer is { } held)
        {
            pumpBuffer = null;
            loop.Buffers.Return(held);
        }
    }

    void ReturnUpstream(bool keepUpstream)
    {
        var connection = upstream!;
        upstream = null;
        var host = worker.Hosts.Of(connection.Address);
        host.ActiveRequests--;
        if (keepUpstream)
        {
            host.Return(connection);
        }
        else
        {
            connection.Close();
        }
    }

    /// <param name="counted">Given when the request still counts as active there.</param>
    void CloseUpstream(Endpoint? counted = null)
    {
        upstream?.Close();
        upstream = null;
        if (counted is not null)
        {
            worker.Hosts.Of(counted.Address).ActiveRequests--;
        }
    }
}
