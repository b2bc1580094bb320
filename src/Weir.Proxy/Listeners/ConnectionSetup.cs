using Weir.Proxy.Configuration;
using Weir.Proxy.Inspection;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Listeners;

/// <summary>
/// What happens to a connection before anyone serves it: who it comes from (PROXY protocol), what it speaks (a look at its first
/// bytes, without taking them), which filter chain that leads to, and TLS.
/// </summary>
sealed class ConnectionSetup(Worker worker, AsyncSocket socket, SocketAddressV4 direct, SocketAddressV4 local, ListenerConfiguration listener)
    : Connection
{
    /// <summary>What the PROXY protocol says instead of the socket.</summary>
    ProxyProtocolHeader told;

    public override FilterChain? Chain => null;

    public override void Begin() => _ = RunAsync();

    public override void Drain()
    {
        // It was accepted, so it is served; the limits of its setting up hold.
    }

    async Task RunAsync()
    {
        var isServed = false;
        try
        {
            isServed = await PrepareAsync();
        }
        catch (Exception e)
        {
            worker.Engine.Report(e);
        }
        finally
        {
            if (!isServed)
            {
                socket.Close();
                worker.Remove(this);
            }
        }
    }

    async ValueTask<bool> PrepareAsync()
    {
        if (listener.InspectsProxyProtocol && !await ReadProxyProtocolAsync())
        {
            return false;
        }

        var (source, destination) = (told.Source ?? direct, told.Destination ?? local);
        var facts = new ConnectionFacts(source, destination, "", "", []);
        if (listener.NeedsInspection(destination.Port))
        {
            facts = await InspectAsync(facts);
            if (!socket.IsOpen)
            {
                return false;
            }
        }

        if (listener.Chains.Find(facts) is not { } chain)
        {
            return false;
        }

        TlsInfo? tls = null;
        if (chain.Tls is not null)
        {
            tls = await HandshakeAsync(chain, facts.ServerName);
            if (tls is null)
            {
                return false;
            }
        }

        worker.Remove(this);
        worker.Serve(socket, new Downstream(worker.NextConnectionId(), source, direct, destination, facts.ServerName, tls), chain);
        return true;
    }

    async ValueTask<bool> ReadProxyProtocolAsync()
    {
        var buffer = worker.Loop.Buffers.Rent();
        try
        {
            var deadline = worker.Loop.Now + listener.InspectionMilliseconds;
            while (true)
            {
                var available = await PeekAsync(buffer.AsMemory(0, ProxyProtocolHeader.MaximumLength), deadline);
                if (available <= 0)
                {
                    return false;
                }

                switch (ProxyProtocolHeader.TryParse(buffer.AsSpan(0, available), out var header, out var isBroken))
                {
                    case Verdict.Yes when !isBroken:
                        told = header;
                        return await socket.ReadAsync(buffer.AsMemory(0, header.Length), listener.InspectionMilliseconds) == header.Length;
                    case Verdict.Yes:
                        return false;
                    case Verdict.No:
                        return listener.AllowsMissingProxyProtocol;
                    default:
                        if (await WaitAsync(deadline) < 0)
                        {
                            return false;
                        }

                        break;
                }
            }
        }
        finally
        {
            worker.Loop.Buffers.Return(buffer);
        }
    }

    /// <summary>
    /// Looks until it is known whether the client speaks TLS, and to whom, or HTTP. A client that waits for the server to speak
    /// first is known by its silence: after the time limit the connection goes on as bytes, where the listener allows it.
    /// </summary>
    async ValueTask<ConnectionFacts> InspectAsync(ConnectionFacts facts)
    {
        var buffer = worker.Loop.Buffers.Rent();
        try
        {
            var deadline = worker.Loop.Now + listener.InspectionMilliseconds;
            var looksForTls = listener.InspectsTls(facts.Destination.Port);
            var looksForHttp = listener.InspectsHttp(facts.Destination.Port);
            while (true)
            {
                var available = await PeekAsync(buffer, deadline);
                if (available <= 0)
                {
                    return OnSilence(facts, available);
                }

                ClientHello? hello = null;
                var isTls = looksForTls ? ClientHello.TryParse(buffer.AsSpan(0, available), out hello) : Verdict.No;
                if (isTls == Verdict.Yes)
                {
                    return facts with { ServerName = hello!.ServerName, Transport = "tls", Alpn = hello.Alpn };
                }

                var isHttp = isTls == Verdict.No && looksForHttp ? HttpSniffer.IsHttp1(buffer.AsSpan(0, available)) : Verdict.No;
                if (isTls == Verdict.No && isHttp != Verdict.NeedsMore)
                {
                    return facts with { Transport = "raw_buffer", Alpn = isHttp == Verdict.Yes ? ["http/1.1"] : [] };
                }

                if (available == buffer.Length || await WaitAsync(deadline) < 0)
                {
                    return OnSilence(facts, available == buffer.Length ? 0 : -Native.EtimedOut);
                }
            }
        }
        finally
        {
            worker.Loop.Buffers.Return(buffer);
        }
    }

    ConnectionFacts OnSilence(ConnectionFacts facts, int result)
    {
        if (result != -Native.EtimedOut || !listener.ContinuesOnTimeout)
        {
            socket.Close();
        }

        return facts with { Transport = "raw_buffer" };
    }

    /// <summary>Waits until there is something to look at.</summary>
    async ValueTask<int> PeekAsync(Memory<byte> buffer, long deadline)
    {
        while (true)
        {
            var available = socket.IsOpen ? socket.Peek(buffer.Span) : -Native.Ecanceled;
            if (available != -Native.Eagain)
            {
                return available;
            }

            var waited = await WaitAsync(deadline);
            if (waited < 0)
            {
                return waited;
            }
        }
    }

    ValueTask<int> WaitAsync(long deadline)
    {
        var left = deadline - worker.Loop.Now;
        return left <= 0 || socket.IsPeerDone ? new ValueTask<int>(left <= 0 ? -Native.EtimedOut : -Native.EconnReset) : socket.WaitForMoreAsync((int)left);
    }

    async ValueTask<TlsInfo?> HandshakeAsync(FilterChain chain, string serverName)
    {
        if (chain.Tls!.Select(serverName) is not { } context)
        {
            return null;
        }

        var layer = TlsLayer.Accept(context, socket);
        socket.Attach(layer);
        if (await worker.Handshakes.RunAsync(socket, layer, chain.HandshakeMilliseconds) < 0)
        {
            worker.Engine.CountHandshake(worker.Loop.Index, failed: true);
            return null;
        }

        worker.Engine.CountHandshake(worker.Loop.Index, failed: false);
        return layer.Info();
    }
}
