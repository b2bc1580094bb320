using System.Diagnostics;
using System.Runtime.CompilerServices;
using Weir.Proxy.Http1;
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
            : upstream!.End > upstream.Start || hasInterim ? Cause.UpstreamProtocol : Cause.Reset;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<bool> RelayAsync()
    {
        var link = upstream!;
        facts.ResponseStartTicks = Stopwatch.GetTimestamp();
        facts.Details = "via_upstream";
        CaptureResponseHeaders();
        link.Host.Latency.Record(
            Stopwatch.GetElapsedTime(facts.RequestDoneTicks, facts.ResponseStartTicks).TotalMilliseconds, loop.Now, cluster!.Balancing.DecayMilliseconds);
        if (response.Status == 101 || (request.IsConnect && response.Status is >= 200 and < 300))
        {
            return await TunnelAsync(link);
        }

        // Without a length the end of the connection is the end of the answer, for the client as well.
        var removesChunks = response.Body == BodyKind.Chunked && request.IsHttp10;

        // An error before the whole request has come most often means that the rest is not wanted.
        var isRefusal = isPumping && !pump!.IsCompleted && response.Status >= 400;
        var keepAlive = request.KeepAlive && !connection.IsLast && response.Body != BodyKind.UntilClose && !removesChunks && !isRefusal;
        var output = loop.Buffers.Rent();
        Cause failure;
        try
        {
            var length = WriteResponseHead(output, keepAlive, removesChunks);
            if (length < 0)
            {
                loop.Buffers.Return(output);
                output = GC.AllocateUninitializedArray<byte>(response.Length * 2 + 8192, pinned: true);
                length = WriteResponseHead(output, keepAlive, removesChunks);
            }

            link.Start += response.Length;
            failure = length < 0 ? Cause.UpstreamHeadTooLarge : await RelayBodyAsync(link, output, length, removesChunks);
        }
        finally
        {
            loop.Buffers.Return(output);
        }

        if (isPumping)
        {
            if (!pump!.IsCompleted || failure != Cause.None)
            {
                // Answered before all was sent, or cut off: neither connection can be used again.
                link.Socket.Close();
                client.CancelRead(Native.Ecanceled);
                keepAlive = false;
            }

            keepAlive &= await pump!;
        }

        var status = response.Status;
        facts.Details = failure == Cause.None ? facts.Details : CauseDescription.Of(failure).Details;
        Record(status, failure == Cause.None ? ResponseFlag.None : CauseDescription.Of(failure).Flag);
        LeaveUpstream(keeps: failure == Cause.None && response.KeepAlive && response.Body != BodyKind.UntilClose
            && link.Start == link.End && requestBody.IsDone);
        AdvancePastRequest();
        if (failure != Cause.None)
        {
            // The client must not take what it has for the whole.
            client.Abort();
            return false;
        }

        if (!keepAlive)
        {
            await LingerAsync();
        }

        return keepAlive;
    }

    /// <summary>Sends the head that is in <paramref name="output"/>, with as much of the body as has come, and then the rest as it comes.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<Cause> RelayBodyAsync(UpstreamConnection link, byte[] output, int length, bool removesChunks)
    {
        var body = new BodyReader(response.Body, response.ContentLength);
        var idle = IdleMilliseconds;
        if (interim.Count > 0 && !await SendInterimAsync())
        {
            return Cause.ClientGone;
        }

        var first = removesChunks ? 0 : TakeResponseBody(ref body, link, output.AsSpan(length));
        facts.BytesSent += first;
        if (await client.WriteAsync(output.AsMemory(0, length + first), idle) < 0)
        {
            return abortedBy != Cause.None ? abortedBy : Cause.ClientGone;
        }

        while (!body.IsDone && !body.IsBroken)
        {
            if (link.Start == link.End)
            {
                var read = await link.Socket.ReadAsync(link.Buffer, idle);
                if (abortedBy != Cause.None)
                {
                    return abortedBy;
                }

                if (read <= 0)
                {
                    // The end of the connection is the end of the body only where nothing else marks it.
                    return read == 0 && response.Body == BodyKind.UntilClose ? Cause.None : read == -Native.EtimedOut ? Cause.StreamIdle : Cause.Reset;
                }

                link.Start = 0;
                link.End = read;
            }

            var bytes = link.Buffer.AsSpan(link.Start, link.End - link.Start);
            var content = default(Slice);
            var taken = removesChunks ? body.AdvanceContent(bytes, out content) : body.Advance(bytes);
            content = removesChunks ? content : new Slice(0, taken);
            if (content.Length > 0 && await client.WriteAsync(link.Buffer.AsMemory(link.Start + content.Start, content.Length), idle) < 0)
            {
                return abortedBy != Cause.None ? abortedBy : Cause.ClientGone;
            }

            link.Start += taken;
            facts.BytesSent += content.Length;
        }

        return body.IsBroken ? Cause.UpstreamProtocol : Cause.None;
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

    /// <summary>Copies what there is of the body behind the head, so that small answers take one write.</summary>
    static int TakeResponseBody(ref BodyReader body, UpstreamConnection link, Span<byte> room)
    {
        var available = Math.Min(link.End - link.Start, room.Length);
        var taken = body.Advance(link.Buffer.AsSpan(link.Start, available));
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
    async ValueTask<bool> TunnelAsync(UpstreamConnection link)
    {
        var output = loop.Buffers.Rent();
        var length = WriteResponseHead(output, keepAlive: true, removesChunks: false);
        link.Start += response.Length;
        var sent = length < 0 ? -1 : await client.WriteAsync(output.AsMemory(0, length), IdleMilliseconds);
        loop.Buffers.Return(output);

        // What came behind the heads belongs to the new protocol already.
        var early = connection.End - connection.Start - request.Length;
        if (sent < 0
            || (link.End > link.Start && await client.WriteAsync(link.Buffer.AsMemory(link.Start, link.End - link.Start), IdleMilliseconds) < 0)
            || (early > 0 && await link.Socket.WriteAsync(connection.Buffer.AsMemory(connection.Start + request.Length, early), IdleMilliseconds) < 0))
        {
            Record(response.Status, ResponseFlag.DC);
            LeaveUpstream(keeps: false);
            return false;
        }

        facts.BytesReceived += early;
        facts.BytesSent += link.End - link.Start;
        link.ReleaseBuffer();
        return await TunnelAsync(link, response.Status);
    }

    async ValueTask<bool> TunnelAsync(UpstreamConnection link, int status)
    {
        TimerWheel.Clear(this);
        client.IdleObserver = null;
        var relay = new Relay(loop, client, link.Socket, options.ConnectionIdleMilliseconds);
        await relay.RunAsync();
        facts.BytesReceived += relay.FromClient;
        facts.BytesSent += relay.FromUpstream;
        Record(status, relay.IsTimedOut ? ResponseFlag.SI : ResponseFlag.None);
        LeaveUpstream(keeps: false);
        return false;
    }

    /// <summary>CONNECT that ends here: the cluster gets the bytes, not the request.</summary>
    async ValueTask<bool> TerminateConnectAsync()
    {
        client.IdleObserver = this;
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
            return false;
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
    async ValueTask<bool> AbandonAsync(Cause cause)
    {
        LeaveUpstream(keeps: false);
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
            return false;
        }

        request.KeepAlive &= !isPumping && cause != Cause.ClientProtocol;
        return await ReplyAsync(description.Status, description.Flag, description.Body);
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
