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
    public ValueTask<int> WaitAsync() => operation;

    /// <summary>Where <see cref="Step.Waits"/> is for something to read: what is to be read from, <see cref="IdleMilliseconds"/> at most.</summary>
    public AsyncSocket? Awaited => wait is Wait.ResponseHead or Wait.BodyRead ? upstream!.Socket : null;

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

        if (IsSwitch)
        {
            return Later(TunnelAsync(upstream!));
        }

        // What is over in this turn ends now; whatever waits once more sets it anew.
        facts.EndTicks = facts.ResponseStartTicks;
        return interim.Count > 0 ? Later(PassInterimAndRelayAsync()) : Relay();
    }

    /// <summary>Sends the head, with as much of the body as has come, so that small answers take one write.</summary>
    Step Relay()
    {
        var link = upstream!;

        // Without a length the end of the connection is the end of the answer, for the client as well.
        removesChunks = response.Body == BodyKind.Chunked && request.IsHttp10;

        // An error before the whole request has come most often means that the rest is not wanted.
        var isRefusal = isPumping && !isPumpDone && response.Status >= 400;
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
        return failure != Cause.None || keeps || IsClientDone ? End(keeps) : Later(CloseSlowlyAsync());
    }

    /// <summary>The client has said that this request is its last, and nothing speaks against it: closing can take nothing from it.</summary>
    bool IsClientDone => !request.KeepAlive && input.Start == input.End && !client.IsReadyToRead;

    async ValueTask<Step> FinishPumpAsync(Cause failure)
    {
        if (!isPumpDone || failure != Cause.None)
        {
            // Answered before all was sent, or cut off: neither connection can be used again.
            upstream!.Socket.Close();
            client.CancelRead(Native.Ecanceled);
            keepAlive = false;
        }

        keepAlive &= await PumpedAsync();
        var keeps = Close(failure);
        return failure == Cause.None && !keeps ? await CloseSlowlyAsync() : End(keeps);
    }

    async ValueTask<Step> CloseSlowlyAsync()
    {
        await LingerAsync();
        return End(false);
    }

    /// <summary>
    /// The outcome is known: no limit of the exchange holds any more, and what happens to the client no longer changes it.
    /// </summary>
    void Settle()
    {
        TimerWheel.Clear(this);
        client.IdleObserver = null;
    }

    /// <summary>After an error of our own: nothing of the exchange may reach whatever the session serves next.</summary>
    public void Drop()
    {
        Settle();
        LeaveUpstream(keeps: false);
    }

    /// <returns>Whether the client's connection can go on.</returns>
    bool Close(Cause failure)
    {
        var link = upstream!;
        Settle();
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

    /// <summary>Copies what there is of the body behind the head.</summary>
    int TakeResponseBody(UpstreamConnection link, Span<byte> room)
    {
        var available = Math.Min(link.End - link.Start, room.Length);
        var taken = responseBody.Advance(link.Buffer.AsSpan(link.Start, available));
        link.Buffer.AsSpan(link.Start, taken).CopyTo(room);
        link.Start += taken;
        return taken;
    }

    /// <summary>No upstream has answered.</summary>
    async ValueTask<Step> AbandonAsync(Cause cause)
    {
        LeaveUpstream(keeps: false);
        Settle();
        if (isPumping)
        {
            client.CancelRead(Native.Ecanceled);
            await PumpedAsync();
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
        Uncount(link.Host);
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
