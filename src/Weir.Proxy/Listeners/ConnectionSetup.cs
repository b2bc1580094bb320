using Weir.Proxy.Inspection;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Listeners;

/// <summary>
/// What happens to a connection before anyone serves it: who it comes from (PROXY protocol), what it speaks (a look at its first
/// bytes, without taking them), which filter chain that leads to, and TLS. Each has a deadline.
/// </summary>
sealed class ConnectionSetup(Worker worker, TcpSocket socket, SocketAddressV4 direct, SocketAddressV4 local, ListenerConfiguration listener)
    : Connection(null)
{
    readonly EventLoop loop = worker.Loop;
    ConnectionFacts facts = new(direct, local, "", "", []);
    FilterChain? chain;
    Handshake? handshake;
    Phase phase;

    enum Phase : byte
    {
        ProxyProtocol,
        Inspecting,
        Handshaking,
        Over,
    }

    public override void Begin()
    {
        socket.Handler = this;
        phase = listener.InspectsProxyProtocol ? Phase.ProxyProtocol : Phase.Inspecting;
        if (phase == Phase.ProxyProtocol || listener.NeedsInspection(local.Port))
        {
            loop.Timers.Set(this, loop.Now + Math.Max(1, listener.InspectionMilliseconds));
        }

        // A place among the handshakes is taken at once, so that those who say nothing are bounded as well.
        if (listener.Chains.LongestHandshake is > 0 and var limit)
        {
            handshake = new Handshake(worker.Handshakes, socket, this);
            if (!handshake.TryEnter(direct.Address, limit + (phase == Phase.ProxyProtocol ? listener.InspectionMilliseconds : 0)))
            {
                End();
                return;
            }
        }

        OnReady();
    }

    public override void Drain()
    {
        // It was accepted, so it is served; the limits of its setting up hold.
    }

    public override void OnReady()
    {
        if (handshake is { Result: < 0 and not -Native.Einprogress })
        {
            OnHandshake();
            return;
        }

        if (phase == Phase.ProxyProtocol && !ReadProxyProtocol())
        {
            return;
        }

        if (phase == Phase.Inspecting && !Inspect())
        {
            return;
        }

        if (phase == Phase.Handshaking)
        {
            OnHandshake();
        }
    }

    /// <returns>Whether it is known who the client is.</returns>
    bool ReadProxyProtocol()
    {
        Span<byte> buffer = stackalloc byte[ProxyProtocolHeader.MaximumLength];
        var available = socket.Peek(buffer);
        if (available <= 0)
        {
            return available != -Native.Eagain && End();
        }

        switch (ProxyProtocolHeader.TryParse(buffer[..available], out var header, out var isBroken))
        {
            case Verdict.Yes when !isBroken:
                facts = facts with { Source = header.Source ?? direct, Destination = header.Destination ?? local };
                if (socket.Receive(buffer[..header.Length]) != header.Length)
                {
                    return End();
                }

                phase = Phase.Inspecting;
                return true;
            case Verdict.No when listener.AllowsMissingProxyProtocol:
                phase = Phase.Inspecting;
                return true;
            case Verdict.NeedsMore:
                return socket.IsPeerDone && End();
            default:
                return End();
        }
    }

    /// <summary>Looks until it is known whether the client speaks TLS, and to whom, or HTTP.</summary>
    /// <returns>False: whatever comes next comes by an event.</returns>
    bool Inspect()
    {
        if (!listener.NeedsInspection(facts.Destination.Port))
        {
            return Choose();
        }

        var buffer = loop.Buffers.Rent();
        var available = socket.Peek(buffer);
        var isKnown = available > 0 && Recognize(buffer.AsSpan(0, available), available == buffer.Length);
        loop.Buffers.Return(buffer);
        if (isKnown)
        {
            return Choose();
        }

        return ((available <= 0 && available != -Native.Eagain) || socket.IsPeerDone) && End();
    }

    bool Recognize(ReadOnlySpan<byte> bytes, bool isAll)
    {
        ClientHello? hello = null;
        var isTls = listener.InspectsTls(facts.Destination.Port) ? ClientHello.TryParse(bytes, out hello) : Verdict.No;
        if (isTls == Verdict.Yes)
        {
            facts = facts with { ServerName = hello!.ServerName, Transport = "tls", Alpn = hello.Alpn };
            return true;
        }

        var isHttp = isTls == Verdict.No && listener.InspectsHttp(facts.Destination.Port) ? HttpSniffer.IsHttp1(bytes) : Verdict.No;
        if (isTls == Verdict.No && isHttp != Verdict.NeedsMore)
        {
            facts = facts with { Transport = "raw_buffer", Alpn = isHttp == Verdict.Yes ? ["http/1.1"] : [] };
            return true;
        }

        return isAll;
    }

    /// <summary>
    /// A client that waits for the server to speak first is known by its silence: after the time limit the connection goes on as bytes,
    /// where the listener allows it.
    /// </summary>
    public override void OnDue()
    {
        if (phase == Phase.Inspecting && listener.ContinuesOnTimeout)
        {
            facts = facts with { Transport = "raw_buffer" };
            Choose();
        }
        else
        {
            End();
        }
    }

    /// <returns>False: whatever comes next comes by an event.</returns>
    bool Choose()
    {
        TimerWheel.Clear(this);
        chain = listener.Chains.Find(facts);
        if (chain is null)
        {
            return End();
        }

        if (chain.Tls is null)
        {
            handshake?.Cancel();
            Serve(null);
            return false;
        }

        if (chain.Tls.Select(facts.ServerName) is not { } context)
        {
            return End();
        }

        phase = Phase.Handshaking;
        handshake!.Begin(TlsLayer.Accept(context, socket), isFirst: false);
        return false;
    }

    void OnHandshake()
    {
        if (handshake is not { } done || done.Result == -Native.Einprogress)
        {
            return;
        }

        worker.CountHandshake(failed: done.Result < 0);
        if (done.Result < 0)
        {
            End();
        }
        else
        {
            Serve(done.Layer!.Info());
        }
    }

    void Serve(TlsInfo? tls)
    {
        phase = Phase.Over;
        loop.Timers.Remove(this);
        worker.Connections.Remove(this);
        worker.Serve(socket, new Downstream(worker.NextConnectionId(), facts.Source, direct, facts.Destination, facts.ServerName, tls), chain!);
    }

    /// <returns>False.</returns>
    bool End()
    {
        if (phase != Phase.Over)
        {
            phase = Phase.Over;
            loop.Timers.Remove(this);
            handshake?.Cancel();
            socket.Close();
            worker.Connections.Remove(this);
        }

        return false;
    }

    public override void Abandon() => End();
}
