// An operation is awaited once, by the connection, right after it was stored.
#pragma warning disable CA2012
using System.Diagnostics;
using System.Runtime.CompilerServices;
using Weir.Proxy.Http1;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>The way of an answer from the upstream to the client, and what becomes of both connections then.</summary>
sealed partial class HttpExchange
{
    int searched;
    bool hasInterim;

    /// <summary>
    /// Whether a final head is there. Interim ones before it are collected for the client; only 100 is dropped, since the proxy has
    /// sent its own.
    /// </summary>
    bool HasResponseHead(out Cause cause)
    {
        cause = Cause.None;
        var bytes = upstream!.Buffer!;
        while (true)
        {
            var available = bytes.AsSpan(upstream.Start, upstream.End - upstream.Start);
            var length = available.IsEmpty ? -1 : HeadParser.FindEnd(available, searched);
            if (length < 0)
            {
                searched = available.Length;
                if (upstream.End == bytes.Length && !MakeRoomForHead())
                {
                    cause = Cause.UpstreamHeadTooLarge;
                }

                return false;
            }

            searched = 0;
            if (HeadParser.ParseResponse(available, length, response, request.IsHead) != ParseError.None)
            {
                cause = Cause.UpstreamProtocol;
                return false;
            }

            if (response.Status >= 200 || (response.Status == 101 && hasUpgrade && !request.IsConnect))
            {
                if (request.IsConnect && response.Status < 300)
                {
                    response.Body = BodyKind.None;
                }

                return true;
            }

            if (response.Status == 101)
            {
                cause = Cause.UpstreamProtocol;
                return false;
            }

            hasInterim = true;

            // HTTP/1.0 clients know no interim answers (RFC 9110 section 15.2).
            if (response.Status != 100 && !request.IsHttp10)
            {
                interim.Add(available[..length].ToArray());
            }

            upstream.Start += length;
            if (interim.Count > MaximumInterim)
            {
                cause = Cause.UpstreamProtocol;
                return false;
            }
        }
    }

    const int MaximumInterim = 16;
    readonly List<byte[]> interim = [];

    bool MakeRoomForHead()
    {
        if (upstream!.Start == 0)
        {
            if (upstream.Buffer!.Length >= HttpOptions.DefaultHeadBytes)
            {
                return false;
            }

            var larger = GC.AllocateUninitializedArray<byte>(HttpOptions.DefaultHeadBytes, pinned: true);
            upstream.Buffer.AsSpan(0, upstream.End).CopyTo(larger);
            loop.Buffers.Return(upstream.Buffer);
            upstream.Buffer = larger;
            return true;
        }

        upstream.Buffer.AsSpan(upstream.Start, upstream.End - upstream.Start).CopyTo(upstream.Buffer);
        upstream.End -= upstream.Start;
        upstream.Start = 0;
        return true;
    }

    Cause OnRead(int read)
    {
        if (abortedBy != Cause.None)
        {
            return abortedBy;
        }

        if (read > 0)
        {
            upstream!.End += read;
            return Cause.None;
        }

        return read == -Native.EtimedOut ? Cause.StreamIdle
            : (upstream!.Buffer is not null && upstream.End > upstream.Start) || hasInterim ? Cause.UpstreamProtocol : Cause.Reset;
    }

    /// <summary>Which operation the exchange is waiting for.</summary>
    enum Wait
    {
        Send,

        /// <summary>Until there is something to read: no buffer is held for an answer that has not come.</summary>
        ResponseHead,
        BodyRead,

        /// <summary>For what was announced but was not there, as a TLS record that is not complete.</summary>
        HeadBytes,
        BodyBytes,
        BodyWrite,
    }

    Wait wait;
    ValueTask<int> operation;
    BodyReader responseBody;
    bool keepAlive;
    bool removesChunks;

    Step Waiting(Wait what)
    {
        wait = what;
        facts.EndTicks = 0;
        return Step.Waits;
    }

    /// <summary>What <see cref="Step.Waits"/> is waiting for.</summary>
    public ValueTask<int> WaitAsync() => wait switch
    {
        Wait.ResponseHead or Wait.BodyRead => upstream!.Socket.WaitReadableAsync(IdleMilliseconds),
        _ => operation,
    };

    /// <summary>Goes on with what came of the wait.</summary>
    public Step Resume(int result)
    {
        switch (wait)
        {
            case Wait.Send:
                return OnSent(result);
            case Wait.ResponseHead:
                return result < 0 || abortedBy != Cause.None ? Failed(OnRead(result)) : ReadHead();
            case Wait.BodyRead:
                return result < 0 || abortedBy != Cause.None ? OnBody(result) : ReadBody();
            case Wait.HeadBytes:
                var cause = OnRead(result);
                return cause == Cause.None ? FindResponse() : Failed(cause);
            case Wait.BodyBytes:
                return OnBody(result);
            default:
                ReleaseOutput();
                return result < 0 ? Finish(abortedBy != Cause.None ? abortedBy : Cause.ClientGone) : RelayBody();
        }
    }

    Step ReadHead()
    {
        upstream!.HoldBuffer();
        operation = upstream.Socket.ReadAsync(upstream.Buffer.AsMemory(upstream.End), IdleMilliseconds);
        if (!operation.IsCompletedSuccessfully)
        {
            return Waiting(Wait.HeadBytes);
        }

        var cause = OnRead(operation.Result);
        return cause == Cause.None ? FindResponse() : Failed(cause);
    }

    Step ReadBody()
    {
        // What has filled a buffer once will do so again: in bulk, system calls are what costs.
        if (upstream!.End == upstream.Buffer!.Length && (response.Body != BodyKind.Length || response.ContentLength > BufferPool.LargeSize))
        {
            upstream.HoldLargeBuffer();
        }

        operation = upstream.Socket.ReadAsync(upstream.Buffer, IdleMilliseconds);
        return operation.IsCompletedSuccessfully ? OnBody(operation.Result) : Waiting(Wait.BodyBytes);
    }

    Step FindResponse()
    {
        if (!HasResponseHead(out var cause))
        {
            return cause != Cause.None ? Failed(cause) : interim.Count > 0 ? Later(PassInterimAsync()) : Waiting(Wait.ResponseHead);
        }

        facts.ResponseStartTicks = Stopwatch.GetTimestamp();
        facts.Details = "via_upstream";
        if (options.AccessLogs.Length > 0)
        {
            CaptureResponseHeaders();
        }

        if (cluster!.Balancing.Policy == BalancingPolicy.PeakEwma)
        {
            upstream!.Host.Latency.Record(
                Stopwatch.GetElapsedTime(facts.RequestDoneTicks, facts.ResponseStartTicks).TotalMilliseconds, loop.Now, cluster.Balancing.DecayMilliseconds);
        }

        if (response.Status == 101 || (request.IsConnect && response.Status is >= 200 and < 300))
        {
            return Later(TunnelAsync(upstream!));
        }

        // What is over in this turn ends now; whatever waits once more sets it anew.
        facts.EndTicks = facts.ResponseStartTicks;
        return interim.Count > 0 ? Later(PassInterimAndRelayAsync()) : Relay();
    }

    async ValueTask<Step> PassInterimAsync() => await SendInterimAsync() ? Waiting(Wait.ResponseHead) : Failed(Cause.ClientGone);

    async ValueTask<Step> PassInterimAndRelayAsync() => await SendInterimAsync() ? Relay() : Failed(Cause.ClientGone);

    /// <summary>Sends the head, with as much of the body as has come, so that small answers take one write.</summary>
    Step Relay()
    {
        var link = upstream!;

        // Without a length the end of the connection is the end of the answer, for the client as well.
        removesChunks = response.Body == BodyKind.Chunked && request.IsHttp10;

        // An error before the whole request has come most often means that the rest is not wanted.
        var isRefusal = isPumping && !pump!.IsCompleted && response.Status >= 400;
        keepAlive = request.KeepAlive && !connection.IsLast && response.Body != BodyKind.UntilClose && !removesChunks && !isRefusal;
        output = loop.Buffers.Rent();
        var length = WriteResponseHead(output, keepAlive, removesChunks);
        if (length < 0)
        {
            loop.Buffers.Return(output);
            output = GC.AllocateUninitializedArray<byte>((response.Length * 2) + 8192 + route!.Rules.ResponseLength + target!.Rules.ResponseLength, pinned: true);
            length = WriteResponseHead(output, keepAlive, removesChunks);
        }

        link.Start += response.Length;
        responseBody = new BodyReader(response.Body, response.ContentLength);
        if (!removesChunks)
        {
            var taken = TakeResponseBody(link, output.AsSpan(length));
            length += taken;
            facts.BytesSent += taken;
        }

        operation = client.WriteAsync(output.AsMemory(0, length), IdleMilliseconds);
        if (!operation.IsCompletedSuccessfully)
        {
            return Waiting(Wait.BodyWrite);
        }

        ReleaseOutput();
        return operation.Result < 0 ? Finish(Cause.ClientGone) : RelayBody();
    }

    /// <summary>Passes on what has come of the body until there is no more, or the client is behind.</summary>
    Step RelayBody()
    {
        var link = upstream!;
        while (!responseBody.IsDone && !responseBody.IsBroken)
        {
            if (link.Start == link.End)
            {
                return Waiting(Wait.BodyRead);
            }

            var bytes = link.Buffer.AsSpan(link.Start, link.End - link.Start);
            var content = default(Slice);
            var taken = removesChunks ? responseBody.AdvanceContent(bytes, out content) : responseBody.Advance(bytes);
            content = removesChunks ? content : new Slice(0, taken);
            var from = link.Start + content.Start;
            link.Start += taken;
            facts.BytesSent += content.Length;
            if (content.Length > 0)
            {
                operation = client.WriteAsync(link.Buffer.AsMemory(from, content.Length), IdleMilliseconds);
                if (!operation.IsCompletedSuccessfully)
                {
                    return Waiting(Wait.BodyWrite);
                }

                if (operation.Result < 0)
                {
                    return Finish(Cause.ClientGone);
                }
            }
        }

        return Finish(responseBody.IsBroken ? Cause.UpstreamProtocol : Cause.None);
    }

    Step OnBody(int read)
    {
        if (abortedBy != Cause.None)
        {
            return Finish(abortedBy);
        }

        if (read <= 0)
        {
            // The end of the connection is the end of the body only where nothing else marks it.
            return Finish(read == 0 && response.Body == BodyKind.UntilClose ? Cause.None : read == -Native.EtimedOut ? Cause.StreamIdle : Cause.Reset);
        }

        upstream!.Start = 0;
        upstream.End = read;
        return RelayBody();
    }

    /// <summary>The answer has been sent, or cannot be.</summary>
    Step Finish(Cause failure)
    {
        ReleaseOutput();
        if (isPumping)
        {
            return Later(FinishPumpAsync(failure));
        }

        var keeps = Close(failure);
        return failure == Cause.None && !keeps ? Later(CloseSlowlyAsync()) : End(keeps);
    }

    async ValueTask<Step> FinishPumpAsync(Cause failure)
    {
        if (!pump!.IsCompleted || failure != Cause.None)
        {
            // Answered before all was sent, or cut off: neither connection can be used again.
            upstream!.Socket.Close();
            client.CancelRead(Native.Ecanceled);
            keepAlive = false;
        }

        keepAlive &= await pump!;
        var keeps = Close(failure);
        return failure == Cause.None && !keeps ? await CloseSlowlyAsync() : End(keeps);
    }

    async ValueTask<Step> CloseSlowlyAsync()
    {
        await LingerAsync();
        return End(false);
    }

    /// <returns>Whether the client's connection can go on.</returns>
    bool Close(Cause failure)
    {
        var link = upstream!;
        TimerWheel.Clear(this);
        client.IdleObserver = null;
        facts.Details = failure == Cause.None ? facts.Details : CauseDescription.Of(failure).Details;
        Record(response.Status, failure == Cause.None ? ResponseFlag.None : CauseDescription.Of(failure).Flag);
        LeaveUpstream(keeps: failure == Cause.None && response.KeepAlive && response.Body != BodyKind.UntilClose && link.Start == link.End && requestBody.IsDone);
        AdvancePastRequest();
        if (failure != Cause.None)
        {
            // The client must not take what it has for the whole.
            client.Abort();
            return false;
        }

        return keepAlive;
    }

    async ValueTask<bool> SendInterimAsync()
    {
        foreach (var head in interim)
        {
            if (await client.WriteAsync(head, IdleMilliseconds) < 0)
            {
                return false;
            }
        }

        interim.Clear();
        return true;
    }

    /// <summary>Copies what there is of the body behind the head.</summary>
    int TakeResponseBody(UpstreamConnection link, Span<byte> room)
    {
        var available = Math.Min(link.End - link.Start, room.Length);
        var taken = responseBody.Advance(link.Buffer.AsSpan(link.Start, available));
        link.Buffer.AsSpan(link.Start, taken).CopyTo(room);
        link.Start += taken;
        return taken;
    }

    int WriteResponseHead(byte[] output, bool keepAlive, bool removesChunks)
    {
        ReadOnlySpan<byte> bytes = upstream!.Buffer.AsSpan(upstream.Start);
        var writer = new HeadWriter(output);
        writer.Write("HTTP/1.1 "u8);
        writer.Write(response.Status);
        writer.Write(" "u8);
        writer.Write(response.Reason.Of(bytes));
        writer.Write("\r\n"u8);
        var isSwitch = response.Status == 101 || (request.IsConnect && response.Status is >= 200 and < 300);
        for (var i = 0; i < response.Headers.Count; i++)
        {
            ref readonly var header = ref response.Headers[i];
            var name = header.Name.Of(bytes);
            if ((header.Known is KnownHeader.Other or KnownHeader.Host or KnownHeader.Expect || (header.Known == KnownHeader.ContentLength && !isSwitch))
                && !route!.Rules.RemovesFromResponse(name) && !target!.Rules.RemovesFromResponse(name))
            {
                writer.WriteHeader(name, header.Value.Of(bytes));
            }
        }

        if (response.Status == 101)
        {
            writer.Write("connection: upgrade\r\n"u8);
            writer.WriteHeader("upgrade"u8, response.Upgrade.Of(bytes));
        }
        else if (response.Body == BodyKind.Chunked && !removesChunks)
        {
            writer.Write("transfer-encoding: chunked\r\n"u8);
        }

        if (givesCookie)
        {
            WriteCookie(ref writer);
        }

        route!.Rules.WriteResponse(ref writer);
        target!.Rules.WriteResponse(ref writer);
        if (!keepAlive && !isSwitch)
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

    void WriteCookie(ref HeadWriter writer)
    {
        var policy = Array.Find(route!.HashPolicies, p => p is { Source: HashSource.Cookie, CookieSeconds: not null })!;
        writer.Write("set-cookie: "u8);
        writer.Write(policy.Name);
        writer.Write("="u8);
        writer.Write(cookieValue);
        if (policy.CookieSeconds > 0)
        {
            writer.Write("; Max-Age="u8);
            writer.Write(policy.CookieSeconds.Value);
        }

        if (policy.CookiePath.Length > 0)
        {
            writer.Write("; Path="u8);
            writer.Write(System.Text.Encoding.ASCII.GetBytes(policy.CookiePath));
        }

        writer.Write("; HttpOnly\r\n"u8);
    }

    /// <summary>After 101, or 2xx to CONNECT: no more HTTP on either connection.</summary>
    async ValueTask<Step> TunnelAsync(UpstreamConnection link)
    {
        output = loop.Buffers.Rent();
        var length = WriteResponseHead(output, keepAlive: true, removesChunks: false);
        link.Start += response.Length;
        var sent = length < 0 ? -1 : await client.WriteAsync(output.AsMemory(0, length), IdleMilliseconds);
        ReleaseOutput();

        // What came behind the heads belongs to the new protocol already.
        var early = connection.End - connection.Start - request.Length;
        if (sent < 0
            || (link.End > link.Start && await client.WriteAsync(link.Buffer.AsMemory(link.Start, link.End - link.Start), IdleMilliseconds) < 0)
            || (early > 0 && await link.Socket.WriteAsync(connection.Buffer.AsMemory(connection.Start + request.Length, early), IdleMilliseconds) < 0))
        {
            Record(response.Status, ResponseFlag.DC);
            LeaveUpstream(keeps: false);
            return End(false);
        }

        facts.BytesReceived += early;
        facts.BytesSent += link.End - link.Start;
        link.ReleaseBuffer();
        return await TunnelAsync(link, response.Status);
    }

    async ValueTask<Step> TunnelAsync(UpstreamConnection link, int status)
    {
        TimerWheel.Clear(this);
        client.IdleObserver = null;
        var relay = new Relay(loop, client, link.Socket, options.ConnectionIdleMilliseconds);
        await relay.RunAsync();
        facts.BytesReceived += relay.FromClient;
        facts.BytesSent += relay.FromUpstream;
        Record(status, relay.IsTimedOut ? ResponseFlag.SI : ResponseFlag.None);
        LeaveUpstream(keeps: false);
        return End(false);
    }

    /// <summary>CONNECT that ends here: the cluster gets the bytes, not the request.</summary>
    async ValueTask<Step> TerminateConnectAsync()
    {
        facts.Attempts = 1;
        var cause = TryTakeEndpoint();
        if (cause == Cause.None)
        {
            cause = await ConnectAsync();
        }

        client.IdleObserver = null;
        if (cause != Cause.None)
        {
            return await AbandonAsync(cause);
        }

        facts.UpstreamAddress = endpoint!.Address;
        facts.RequestDoneTicks = facts.ResponseStartTicks = Stopwatch.GetTimestamp();
        var early = connection.End - connection.Start - request.Length;
        if (await client.WriteAsync(Established, IdleMilliseconds) < 0
            || (early > 0 && await upstream!.Socket.WriteAsync(connection.Buffer.AsMemory(connection.Start + request.Length, early), IdleMilliseconds) < 0))
        {
            Record(200, ResponseFlag.DC);
            LeaveUpstream(keeps: false);
            return End(false);
        }

        return await TunnelAsync(upstream!, 200);
    }

    static readonly byte[] Established = "HTTP/1.1 200 OK\r\n\r\n"u8.ToArray();

    Cause TryTakeEndpoint()
    {
        endpoint = worker.Balancer.Pick(cluster!, cluster!.Select(target!.Subset), hash, null);
        return endpoint is null ? Cause.NoHealthyEndpoint : Cause.None;
    }

    /// <summary>No upstream has answered.</summary>
    async ValueTask<Step> AbandonAsync(Cause cause)
    {
        LeaveUpstream(keeps: false);
        TimerWheel.Clear(this);
        client.IdleObserver = null;
        if (isPumping)
        {
            client.CancelRead(Native.Ecanceled);
            await pump!;
        }

        ReleasePump();
        ref readonly var description = ref CauseDescription.Of(cause);
        facts.Details = description.Details;
        if (description.Status == 0)
        {
            Record(0, description.Flag);
            return End(false);
        }

        request.KeepAlive &= !isPumping && cause != Cause.ClientProtocol;
        return await ReplyAsync(description.Status, description.Flag, description.Body, "text/plain", null, null);
    }

    /// <summary>Leaves what follows the request, if it was pipelined, as the beginning of the next.</summary>
    void AdvancePastRequest()
    {
        if (!isPumping)
        {
            connection.Start = request.Body == BodyKind.None ? connection.Start + request.Length : pumpStart;
            return;
        }

        loop.Buffers.Return(connection.Buffer!);
        connection.Buffer = pumpBuffer;
        connection.Start = pumpStart;
        connection.End = pumpEnd;
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

    /// <param name="keeps">The connection can carry another request.</param>
    void LeaveUpstream(bool keeps)
    {
        searched = 0;
        hasInterim = false;
        interim.Clear();
        if (upstream is not { } link)
        {
            return;
        }

        upstream = null;
        link.Host.ActiveRequests--;
        link.Host.Load.Requests--;
        if (keeps)
        {
            link.Host.Return(link);
        }
        else
        {
            link.Close();
        }
    }
}
