using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Simulation;

/// <summary>
/// Clients of a TLS listener that say nothing, or say it a byte at a time, while each step of a handshake takes time on the loop.
/// </summary>
sealed class HandshakeFlood : IWorkerOwner, IDisposable
{
    /// <summary>What a step's public-key work takes of the loop.</summary>
    const int StepMilliseconds = 1;

    static readonly TlsServer Server = MakeServer();

    readonly SimulationState state;
    readonly SimulatedListener listening = new(new SocketAddressV4(0x0a000002, 443));
    readonly ListenerConfiguration listener;
    readonly EventLoop loop;
    readonly Worker worker;
    readonly List<SimulatedSocket> clients = [];
    readonly Dictionary<SimulatedSocket, long> acceptedAt = [];
    Exception? fault;

    public HandshakeFlood(ulong seed, int handshakeMilliseconds)
    {
        state = new SimulationState(seed);
        state.Kernel = new SimulatedKernel(state.Network, state.Random, KernelFaults.None, state.Trace) { OnUse = s => acceptedAt.TryAdd(s, state.Now), MillisecondsOfRead = StepMilliseconds };
        var chain = new FilterChain("in", "chain", 1, FilterChainMatch.Any, Server, handshakeMilliseconds, new HttpOptions(), null, true);
        listener = new ListenerConfiguration("in", [], new FilterChainTable([chain], null));
        loop = new EventLoop(0, new ManualTime(state), state.Kernel) { OnFault = e => fault ??= e };
        worker = new Worker(loop, this, new ExchangeServices(loop, new Upstreams(loop, 1), new StatsRegistry(1), new RequestIdSource(seed), e => fault ??= e), 100_000);
        state.Kernel.Listen(listening);
        worker.Listen(listening.Address, state.Kernel.Bind(listening), "in");
    }

    public int Held => state.Kernel.Sockets.Count();

    public int MostHeld { get; private set; }

    /// <summary>The longest that a connection was kept without getting anywhere.</summary>
    public long LongestHeld { get; private set; }

    static TlsServer MakeServer()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(100));
        var settings = new TlsSettings(0x0303, 0x0304, [], [], [], false, false, []);
        var pair = new KeyPair(
            System.Text.Encoding.ASCII.GetBytes(certificate.ExportCertificatePem()), System.Text.Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem()));
        return new TlsServer([TlsContext.Server(settings, pair, null)], requiresName: false);
    }

    ListenerConfiguration? IWorkerOwner.FindListener(string name) => listener;

    void IWorkerOwner.OnQuiet()
    {
        // Nothing is kept that could be given back.
    }

    /// <param name="arrivals">How many clients connect in each millisecond.</param>
    /// <param name="trickling">Of 100, how many send a byte now and then.</param>
    public void Run(int count, int arrivals, int trickling)
    {
        var nextTrickle = state.Now;
        for (var begun = 0; begun < count || Held > 0 || listening.Backlog.Count > 0;)
        {
            for (var i = 0; i < arrivals && begun < count; i++, begun++)
            {
                clients.Add(state.Network.ConnectTo(listening, 0x0a000100 + (uint)(begun % 50))!);
            }

            if (state.Now >= nextTrickle)
            {
                nextTrickle = state.Now + 20;
                for (var i = 0; i < clients.Count; i++)
                {
                    if (i % 100 < trickling)
                    {
                        _ = clients[i].Write(clients[i].BytesWritten switch { 0 => [0x16], 1 => [3], 2 => [1], 3 => [1], 4 => [0], _ => [1] });
                    }
                }
            }

            while (state.Network.Deliver())
            {
            }

            var held = state.Kernel.Sockets.ToList();
            loop.RunTurn(0);
            if (fault is not null)
            {
                throw fault;
            }

            Observe(held);
            state.Kernel.AdvanceTo(state.Now + 1);
        }
    }

    void Observe(List<SimulatedSocket> before)
    {
        foreach (var socket in before)
        {
            if (acceptedAt.TryGetValue(socket, out var since))
            {
                LongestHeld = Math.Max(LongestHeld, state.Now - since);
            }
        }

        MostHeld = Math.Max(MostHeld, Held);
    }

    public void Dispose() => loop.Dispose();
}
