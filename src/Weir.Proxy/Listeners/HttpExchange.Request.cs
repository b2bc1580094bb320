// An operation is awaited once, by the connection, right after it was stored.
#pragma warning disable CA2012
using System.Diagnostics;
using System.Runtime.CompilerServices;
using Weir.Proxy.Http1;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tracing;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>The way of a request to an upstream: a connection, the head, the body.</summary>
sealed partial class HttpExchange
{
    /// <summary>Attempts for one request that no upstream has seen.</summary>
    const int MaximumAttempts = 3;

    /// <summary>
    /// How long a client may take to read an answer after it has closed its own side: it may have gone altogether, which looks the
    /// same until something is sent.
    /// </summary>
    const int HalfClosedMilliseconds = 30_000;

    static readonly byte[] Continue = "HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray();

    /// <summary>Held while something in it is being written.</summary>
    byte[]? output;
    byte[]? pumpBuffer;
    int pumpStart;
    int pumpEnd;
    bool isPumping;
    Task<bool>? pump;

    int IdleMilliseconds => route!.IdleMilliseconds ?? options.StreamIdleMilliseconds;

    /// <summary>Tries one endpoint: on a connection that is kept open the request goes out at once.</summary>
    Step Attempt()
    {
        isPumping = false;
        facts.Attempts++;
        var cause = TryTakeIdle();
        if (cause != Cause.None)
        {
            return Later(AbandonAsync(cause));
        }

        if (upstream is null)
        {
            return Later(ConnectAndSendAsync());
        }

        cause = PrepareSend(out var length);
        if (cause != Cause.None)
        {
            return Failed(cause);
        }

        if (request.ExpectsContinue && !requestBody.IsDone)
        {
            return Later(SendAsync(length));
        }

        operation = upstream.Socket.WriteAsync(output.AsMemory(0, length), IdleMilliseconds);
        return operation.IsCompletedSuccessfully ? OnSent(operation.Result) : Waiting(Wait.Send);
    }

    /// <summary>An attempt did not come to an answer.</summary>
    Step Failed(Cause cause)
    {
        ReleaseOutput();
        if (MayTryAgain(cause))
        {
            LeaveUpstream(keeps: false);
            return Attempt();
        }

        return Later(AbandonAsync(cause));
    }

    async ValueTask<Step> ConnectAndSendAsync()
    {
        var cause = await ConnectAsync();
        if (cause != Cause.None)
        {
            return Failed(cause);
        }

        cause = PrepareSend(out var length);
        return cause != Cause.None ? Failed(cause) : await SendAsync(length);
    }

    async ValueTask<Step> SendAsync(int length)
    {
        if (request.ExpectsContinue && !requestBody.IsDone && await client.WriteAsync(Continue, IdleMilliseconds) < 0)
        {
            return Failed(Cause.ClientGone);
        }

        return OnSent(await upstream!.Socket.WriteAsync(output.AsMemory(0, length), IdleMilliseconds));
    }

    /// <summary>The head is sent; now for the answer, and for the rest of the body meanwhile.</summary>
    Step OnSent(int sent)
    {
        if (abortedBy != Cause.None)
        {
            return Failed(abortedBy);
        }

        // A peer that has answered and gone may still have left its answer to be read.
        if (sent < 0 && !(upstream!.Socket.IsPeerDone && upstream.Socket.IsOpen))
        {
            return Failed(Cause.Reset);
        }

        ReleaseOutput();

        // Sent in the turn it came in: then that is the time, near enough, and the clock need not be asked again.
        facts.RequestDoneTicks = facts.Attempts == 1 && request.Body == BodyKind.None ? facts.StartTicks : Stopwatch.GetTimestamp();
        if (!requestBody.IsDone)
        {
            isPumping = true;
            pump = PumpAsync();
        }

        return Waiting(Wait.ResponseHead);
    }

    void ReleaseOutput()
    {
        if (output is { } held)
        {
            output = null;
            loop.Buffers.Return(held);
        }
    }

    /// <summary>Of the route; <see cref="long.MaxValue"/> when it has none.</summary>
    long routeDeadline;
    Cause dueCause;

    void SetDeadline()
    {
        routeDeadline = route!.TimeoutMilliseconds > 0 ? loop.Now + route.TimeoutMilliseconds : long.MaxValue;
        var requestDeadline = options.RequestMilliseconds > 0 && request.Body != BodyKind.None ? loop.Now + options.RequestMilliseconds : long.MaxValue;
        dueCause = requestDeadline < routeDeadline ? Cause.RequestTimeout : Cause.RouteTimeout;
        if (Math.Min(routeDeadline, requestDeadline) is < long.MaxValue and var due)
        {
            loop.Timers.Set(this, due);
        }
    }

    /// <summary>The time for the exchange, or for a part of it, is over.</summary>
    public override void OnDue()
    {
        if ((dueCause == Cause.RequestTimeout && requestBody.IsDone) || (dueCause == Cause.ClientGone && facts.ResponseStartTicks != 0))
        {
            // That part was done in time.
            dueCause = Cause.RouteTimeout;
            if (routeDeadline < long.MaxValue)
            {
                loop.Timers.Set(this, routeDeadline);
            }

            return;
        }

        Abort(dueCause);
    }

    /// <summary>Something happened to the client while nobody was reading from it.</summary>
    public void OnIdleEvent()
    {
        if (client.IsBroken)
        {
            Abort(Cause.ClientGone);
        }
        else if (client.IsPeerDone && facts.ResponseStartTicks == 0 && loop.Now + HalfClosedMilliseconds < Deadline)
        {
            dueCause = Cause.ClientGone;
            loop.Timers.Set(this, loop.Now + HalfClosedMilliseconds);
        }
    }

    void Abort(Cause cause)
    {
        if (cause != Cause.None && abortedBy == Cause.None)
        {
            abortedBy = cause;
            waiter?.Cancel();
            upstream?.Socket.Close();
        }
    }

    /// <summary>Chooses an endpoint, and one of its idle connections if it has one.</summary>
    Cause TryTakeIdle()
    {
        var load = cluster!.Loads[loop.Index];
        if (load.Requests >= cluster.Limits.MaximumRequests)
        {
            return Cause.PendingOverflow;
        }

        var failed = endpoint;
        endpoint = worker.Balancer.Pick(cluster, cluster.Select(target!.Subset), hash, failed);
        if (endpoint is null)
        {
            return Cause.NoHealthyEndpoint;
        }

        var host = worker.HostOf(endpoint, cluster);

        // The endpoint that has just failed has no kept connection that could be trusted, and the last try trusts none.
        upstream = ReferenceEquals(endpoint, failed) || facts.Attempts == MaximumAttempts ? null : host.TakeIdle(cluster);
        if (upstream is not null)
        {
            Count(host);
        }

        return Cause.None;
    }

    static void Count(UpstreamHost host)
    {
        host.ActiveRequests++;
        host.Load.Requests++;
    }

    async ValueTask<Cause> ConnectAsync()
    {
        var load = cluster!.Loads[loop.Index];
        while (load.Connections >= cluster.Limits.MaximumConnections)
        {
            if (TakeAnyIdle())
            {
                return Cause.None;
            }

            if (load.Waiting.Count >= cluster.Limits.MaximumPending)
            {
                return Cause.PendingOverflow;
            }

            waiter ??= new PoolWaiter(loop);
            var waited = await waiter.WaitAsync(load, IdleMilliseconds > 0 ? IdleMilliseconds : HttpOptions.DefaultStreamIdle);
            if (abortedBy != Cause.None || waited < 0)
            {
                return abortedBy != Cause.None ? abortedBy : Cause.PoolTimeout;
            }
        }

        var host = worker.HostOf(endpoint!, cluster);
        Count(host);
        (upstream, var cause) = await worker.Connector.ConnectAsync(host, cluster, connection.Downstream);
        if (upstream is not null)
        {
            if (abortedBy == Cause.None)
            {
                return Cause.None;
            }

            LeaveUpstream(keeps: false);
            return abortedBy;
        }

        host.ActiveRequests--;
        host.Load.Requests--;
        facts.TransportFailure = cause == Cause.TlsFailed ? worker.Connector.TransportFailure : "";
        return abortedBy != Cause.None ? abortedBy : cause;
    }

    /// <summary>With no more connections allowed, an idle one to another endpoint is better than to wait.</summary>
    bool TakeAnyIdle()
    {
        foreach (var other in cluster!.Select(target!.Subset)!.Endpoints)
        {
            if (other.State.ByLoop[loop.Index] is { HasIdle: true } host && host.TakeIdle(cluster) is { } idle)
            {
                (endpoint, upstream) = (other, idle);
                Count(host);
                return true;
            }
        }

        return false;
    }

    /// <summary>The peer may have closed a kept connection just as it was used again; then it has not seen the request.</summary>
    bool MayTryAgain(Cause cause)
    {
        if (facts.Attempts >= MaximumAttempts || isPumping || abortedBy != Cause.None)
        {
            return false;
        }

        return cause is Cause.ConnectionRefused or Cause.ConnectTimeout or Cause.TlsFailed
            || (cause == Cause.Reset && upstream is { IsReused: true } && IsSafeToRepeat());
    }

    /// <summary>A request without a body whose method promises that doing it twice is doing it once (RFC 9110 section 9.2.2).</summary>
    bool IsSafeToRepeat()
    {
        var method = request.Method.Of(Head);
        return request.Body == BodyKind.None && !hasUpgrade
            && (method.SequenceEqual("GET"u8) || method.SequenceEqual("HEAD"u8) || method.SequenceEqual("OPTIONS"u8)
                || method.SequenceEqual("PUT"u8) || method.SequenceEqual("DELETE"u8) || method.SequenceEqual("TRACE"u8));
    }

    /// <summary>Writes the head to the output, with as much of the body as came with it.</summary>
    Cause PrepareSend(out int length)
    {
        upstream!.Requests++;
        facts.UpstreamAddress = endpoint!.Address;
        var needed = request.Length + 2048 + route!.Rules.RequestLength + target!.Rules.RequestLength;
        output = needed <= BufferPool.BufferSize ? loop.Buffers.Rent() : GC.AllocateUninitializedArray<byte>(needed + 2048, pinned: true);

        requestBody = new BodyReader(request.Body, request.ContentLength);
        length = WriteRequestHead(output);
        if (length < 0)
        {
            return Cause.RequestHeadTooLarge;
        }

        pumpStart = connection.Start + request.Length;
        if (request.Body == BodyKind.None)
        {
            return Cause.None;
        }

        length += TakeBody(output.AsSpan(length));
        return requestBody.IsBroken ? Cause.ClientProtocol : Cause.None;
    }

    /// <summary>Copies what has come of the body behind the head.</summary>
    int TakeBody(Span<byte> room)
    {
        var available = Math.Min(connection.End - pumpStart, room.Length);
        var taken = requestBody.Advance(connection.Buffer.AsSpan(pumpStart, available));
        connection.Buffer.AsSpan(pumpStart, taken).CopyTo(room);
        pumpStart += taken;
        facts.BytesReceived = taken;
        return taken;
    }

    /// <returns>The length, or -1 if it does not fit.</returns>
    int WriteRequestHead(byte[] output)
    {
        ReadOnlySpan<byte> head = Head;
        var writer = new HeadWriter(output);
        writer.Write(request.Method.Of(head));
        writer.Write(" "u8);
        if (request.IsConnect)
        {
            writer.Write(request.Authority.Of(head));
        }
        else
        {
            WriteTarget(ref writer, head);
        }

        writer.Write(" HTTP/1.1\r\nhost: "u8);
        writer.Write(route!.HostRewrite.Length > 0 ? route.HostRewrite : request.Authority.Of(head));
        writer.Write("\r\n"u8);
        var hasRequestId = !options.GeneratesRequestId;
        for (var i = 0; i < request.Headers.Count; i++)
        {
            ref readonly var header = ref request.Headers[i];
            if (header.Known is not KnownHeader.Other)
            {
                continue;
            }

            var name = header.Name.Of(head);
            if (route.Rules.RemovesFromRequest(name) || target!.Rules.RemovesFromRequest(name) || (name.Length is >= 2 and <= 27 && IsReplaced(name)))
            {
                continue;
            }

            hasRequestId |= name.Length == 12 && Ascii.EqualsLower(name, "x-request-id"u8);
            writer.WriteHeader(name, header.Value.Of(head));
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

        if (hasUpgrade && !request.IsConnect)
        {
            writer.Write("connection: upgrade\r\n"u8);
            writer.WriteHeader("upgrade"u8, request.Upgrade.Of(head));
        }

        WriteForwarding(ref writer, head);
        if (!hasRequestId)
        {
            Span<byte> id = stackalloc byte[36];
            worker.RequestIds.Next(id);
            writer.WriteHeader("x-request-id"u8, id);
        }

        route.Rules.WriteRequest(ref writer);
        target!.Rules.WriteRequest(ref writer);
        writer.Write("\r\n"u8);
        return writer.IsFull ? -1 : writer.Length;
    }

    /// <summary>Headers that say who the client is, how it was reached and traced: they are the proxy's to write.</summary>
    bool IsReplaced(ReadOnlySpan<byte> name)
    {
        if ((name[0] | 0x20) is (byte)'x')
        {
            switch (name.Length)
            {
                case 15 when options.IsEdge && Ascii.EqualsLower(name, "x-forwarded-for"u8):
                case 17 when options.IsEdge && Ascii.EqualsLower(name, "x-forwarded-proto"u8):
                    return true;
                case 27 when Ascii.EqualsLower(name, "x-forwarded-client-cert"u8):
                    return false;
                case 23 when Ascii.EqualsLower(name, "x-forwarded-client-cert"u8):
                    return !KeepsClientCertificate;
            }
        }

        return options.Tracing is not null && TraceContext.IsTraceHeader(name);
    }

    /// <summary>What a client says of another's certificate is believed only of a client that has shown its own.</summary>
    bool KeepsClientCertificate => options.ClientCertificate switch
    {
        ClientCertificateForwarding.ForwardOnly => connection.Downstream.Tls?.Peer is not null,
        ClientCertificateForwarding.AlwaysForwardOnly => true,
        _ => false,
    };

    void WriteForwarding(ref HeadWriter writer, ReadOnlySpan<byte> head)
    {
        if (options.IsEdge)
        {
            Span<byte> address = stackalloc byte[24];
            var length = connection.Downstream.Peer.Format(address, false);
            writer.Write("x-forwarded-for: "u8);
            if (options.TrustedHops > 0 && request.Headers.TryGet(head, "x-forwarded-for"u8, out var before))
            {
                writer.Write(before.Of(head));
                writer.Write(options.AppendsForwardedFor ? ", "u8 : ""u8);
                length = options.AppendsForwardedFor ? length : 0;
            }

            writer.Write(address[..length]);
            writer.Write(connection.Downstream.IsSecure ? "\r\nx-forwarded-proto: https\r\n"u8 : "\r\nx-forwarded-proto: http\r\n"u8);
        }

        if (options.ClientCertificate is ClientCertificateForwarding.SanitizeSet or ClientCertificateForwarding.AppendForward
            && connection.Downstream.Tls?.Peer is not null)
        {
            WriteClientCertificate(ref writer, head);
        }

        if (options.Via.Length > 0)
        {
            writer.Write("via: 1.1 "u8);
            writer.Write(options.Via);
            writer.Write("\r\n"u8);
        }

        if (trace.IsValid)
        {
            trace.WriteHeaders(ref writer, withB3: options.Tracing!.Protocol == SpanProtocol.Zipkin);
        }
    }

    void WriteClientCertificate(ref HeadWriter writer, ReadOnlySpan<byte> head)
    {
        writer.Write("x-forwarded-client-cert: "u8);
        if (options.ClientCertificate == ClientCertificateForwarding.AppendForward && request.Headers.TryGet(head, "x-forwarded-client-cert"u8, out var before))
        {
            writer.Write(before.Of(head));
            writer.Write(","u8);
        }

        writer.Write(ClientCertificateHeader.Of(connection.Downstream, options));
        writer.Write("\r\n"u8);
    }

    void WriteTarget(ref HeadWriter writer, ReadOnlySpan<byte> head)
    {
        var original = request.Target.Length == 0 ? "/"u8 : request.Target.Of(head);
        if (original[0] == '?')
        {
            writer.Write("/"u8);
        }

        if (route!.PrefixRewrite.Length == 0 || original.Length < route.PathLength)
        {
            writer.Write(original);
            return;
        }

        writer.Write(route.PrefixRewrite);
        writer.Write(original[route.PathLength..]);
    }

    /// <summary>Sends the rest of the request's body while the answer may already be coming.</summary>
    /// <returns>Whether all of it was sent.</returns>
    async Task<bool> PumpAsync()
    {
        // The head's buffer stays as it is: the log still needs it.
        var socket = upstream!.Socket;
        pumpBuffer = loop.Buffers.Rent();
        pumpEnd = connection.End - pumpStart;
        if (pumpEnd > pumpBuffer.Length)
        {
            loop.Buffers.Return(pumpBuffer);
            pumpBuffer = GC.AllocateUninitializedArray<byte>(pumpEnd, pinned: true);
        }

        connection.Buffer.AsSpan(pumpStart, pumpEnd).CopyTo(pumpBuffer);
        connection.End = pumpStart;
        pumpStart = 0;
        while (true)
        {
            var taken = requestBody.Advance(pumpBuffer.AsSpan(pumpStart, pumpEnd - pumpStart));
            if (requestBody.IsBroken)
            {
                Abort(Cause.ClientProtocol);
                return false;
            }

            if (taken > 0 && await socket.WriteAsync(pumpBuffer.AsMemory(pumpStart, taken), IdleMilliseconds) < 0)
            {
                // The upstream wants no more; its answer may say why.
                return false;
            }

            pumpStart += taken;
            facts.BytesReceived += taken;
            if (requestBody.IsDone)
            {
                facts.RequestDoneTicks = Stopwatch.GetTimestamp();
                return true;
            }

            var read = await client.ReadAsync(pumpBuffer, IdleMilliseconds);
            if (read <= 0)
            {
                if (read != -Native.Ecanceled)
                {
                    Abort(read == -Native.EtimedOut ? Cause.StreamIdle : Cause.ClientGone);
                }

                return false;
            }

            pumpStart = 0;
            pumpEnd = read;
        }
    }
}
