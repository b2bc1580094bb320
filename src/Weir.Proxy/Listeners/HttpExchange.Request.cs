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

    public int IdleMilliseconds => route!.IdleMilliseconds ?? options.StreamIdleMilliseconds;

    /// <summary>Tries one endpoint: on a connection that is kept open the request goes out at once.</summary>
    Step Attempt()
    {
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
            BeginPumping();
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

    static void Uncount(UpstreamHost host)
    {
        host.ActiveRequests--;
        host.Load.Requests--;
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

        Uncount(host);
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

        pumpStart = input.Start + request.Length;
        if (request.Body == BodyKind.None)
        {
            return Cause.None;
        }

        length += TakeBody(output.AsSpan(length));
        return requestBody.IsBroken ? Cause.ClientProtocol : Cause.None;
    }
}
