using System.Diagnostics;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>What an exchange becomes when both sides have agreed to stop speaking HTTP.</summary>
sealed partial class HttpExchange
{
    /// <summary>After 101, or 2xx to CONNECT: no more HTTP on either connection.</summary>
    async ValueTask<Step> TunnelAsync(UpstreamConnection link)
    {
        Settle();
        output = loop.Buffers.Rent();
        var length = WriteResponseHead(output, keepAlive: true, removesChunks: false);
        link.Start += response.Length;
        var sent = length < 0 ? -1 : await client.WriteAsync(output.AsMemory(0, length), IdleMilliseconds);
        ReleaseOutput();

        // What came behind the heads belongs to the new protocol already.
        var early = input.End - input.Start - request.Length;
        if (sent < 0
            || (link.End > link.Start && await client.WriteAsync(link.Buffer.AsMemory(link.Start, link.End - link.Start), IdleMilliseconds) < 0)
            || (early > 0 && await link.Socket.WriteAsync(input.Buffer.AsMemory(input.Start + request.Length, early), IdleMilliseconds) < 0))
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

        Settle();
        if (cause != Cause.None)
        {
            return await AbandonAsync(cause);
        }

        facts.UpstreamAddress = endpoint!.Address;
        facts.RequestDoneTicks = facts.ResponseStartTicks = Stopwatch.GetTimestamp();
        var early = input.End - input.Start - request.Length;
        if (await client.WriteAsync(Established, IdleMilliseconds) < 0
            || (early > 0 && await upstream!.Socket.WriteAsync(input.Buffer.AsMemory(input.Start + request.Length, early), IdleMilliseconds) < 0))
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
}
