using Weir.Proxy.Exchanges;
using Weir.Proxy.Filters;
using Weir.Proxy.Http2;
using Weir.Proxy.Listeners;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Matching;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Simulation;

/// <summary>The proxy's configuration, and changes of it while it serves.</summary>
sealed class World : IWorkerOwner
{
    /// <summary>Where clients connect, and where the proxy connects to itself.</summary>
    public const string Outer = "outer";
    public const string Inner = "inner";

    readonly SimulationState state;
    readonly Settings settings;
    readonly ClusterSlot slot = new("backend");
    readonly ClusterSlot self = new("self");
    readonly RouteSlot outerRoutes = new("outer");
    readonly RouteSlot innerRoutes = new("inner");
    readonly Dictionary<string, ListenerConfiguration> listeners = [];
    readonly StatsScope scope = new(new StatsLabels("", "", "", "", "", "", "", "", "", "", "", ""), 1);
    readonly FilterPlan filters;
    ulong identity;

    public World(SimulationState state, Settings settings)
    {
        (this.state, this.settings) = (state, settings);
        filters = new FilterPlan([state.Watch]);
        var count = state.Random.Between(1, 3);
        for (var i = 0; i < count; i++)
        {
            var reception = settings.IsBenign || state.Random.Chance(80) ? Reception.Accepts : state.Random.Pick(Reception.Refuses, Reception.IsSilent);
            var host = new Http1Upstream(state, new SocketAddressV4(0x0a010001 + (uint)i, 80), reception, settings.IsBenign);
            Hosts.Add(host);
            state.Network.Hosts.Add(host.Address, host);
        }

        MakeListener(Outer, outerRoutes);
        if (settings.IsChained)
        {
            MakeListener(Inner, innerRoutes);
            var address = new SocketAddressV4(0x0a000003, 8080);
            state.Network.Hosts.Add(address, InnerListener = new ListenerHost(address));
            self.Current = MakeCluster(self.Name, [MakeEndpoint(address)], SelfLoad, UpstreamProtocol.Http2);
        }

        ReplaceRoutes();
        ReplaceCluster();
    }

    /// <summary>The proxy's own second listener; null without one.</summary>
    public ListenerHost? InnerListener { get; }

    public List<Http1Upstream> Hosts { get; } = [];

    public ClusterLoad Load { get; } = new();

    /// <summary>Of the cluster by which the proxy connects to itself.</summary>
    public ClusterLoad SelfLoad { get; } = new();

    public IEnumerable<ClusterLoad> Loads => [Load, SelfLoad];

    /// <summary>All that there ever were.</summary>
    public List<EndpointState> EndpointStates { get; } = [];

    ListenerConfiguration? IWorkerOwner.FindListener(string name) => listeners[name];

    void IWorkerOwner.OnQuiet()
    {
        // Nothing is kept that could be given back.
    }

    void MakeListener(string name, RouteSlot routes)
    {
        var options = new HttpOptions
        {
            Routes = routes,
            Http2 = new Http2Options { MaximumConcurrentStreams = settings.StreamsOfConnection },
            Filters = filters,
            ConnectionIdleMilliseconds = settings.ConnectionIdleMilliseconds,
            MaximumConnectionMilliseconds = settings.MaximumConnectionMilliseconds,
            MaximumRequestsPerConnection = settings.MaximumRequestsDown,
            HeadMilliseconds = settings.HeadMilliseconds,
            DelayedCloseMilliseconds = settings.DelayedCloseMilliseconds,
            StreamIdleMilliseconds = settings.StreamIdleMilliseconds,
            RequestMilliseconds = settings.RequestMilliseconds,
            Upgrades = new HashSet<string> { "websocket", "connect" },
        };
        var chain = new FilterChain(name, "chain", ++identity, FilterChainMatch.Any, null, 0, options, null, true);
        listeners[name] = new ListenerConfiguration(name, [], new FilterChainTable([chain], null));
    }

    void ReplaceRoutes()
    {
        var timeout = settings.IsBenign ? 0 : state.Random.Pick(0, 100, 250, 1000);
        state.Watch.RouteMilliseconds = timeout;
        outerRoutes.Current = MakeRoutes(settings.IsChained ? self : slot, timeout);
        innerRoutes.Current = MakeRoutes(slot, timeout);
    }

    static RouteTable MakeRoutes(ClusterSlot cluster, int timeout)
    {
        var targets = new[] { new WeightedTarget(cluster, HeaderRules.None) };
        Route Make(bool isConnect) => new()
        {
            Name = "all",
            Path = StringMatch.Prefix("/"),
            PathLength = 1,
            Targets = targets,
            TimeoutMilliseconds = timeout,
            IsConnect = isConnect,
        };
        return new RouteTable("routes", [new VirtualHost("all", ["*"], [Make(false), Make(true)])], ignorePort: false);
    }

    void ReplaceCluster()
    {
        var before = slot.Current?.All.Endpoints ?? [];
        var chosen = Hosts.Where(_ => state.Random.Chance(80)).ToList();
        chosen = chosen.Count == 0 || settings.IsBenign ? Hosts : chosen;
        var endpoints = chosen.Select(h => Array.Find(before, e => e.Address == h.Address) ?? MakeEndpoint(h.Address)).ToArray();
        slot.Current = MakeCluster(slot.Name, endpoints, Load, UpstreamProtocol.Http1);
        foreach (var gone in before.Where(b => !endpoints.Any(e => ReferenceEquals(e.State, b.State))))
        {
            gone.State.ByLoop[0]?.Dispose();
        }
    }

    Cluster MakeCluster(string name, Endpoint[] endpoints, ClusterLoad load, UpstreamProtocol protocol)
    {
        var balancing = new BalancingOptions(state.Random.Pick(BalancingPolicy.LeastRequest, BalancingPolicy.RoundRobin, BalancingPolicy.Random));
        return new Cluster
        {
            Name = name,
            NameBytes = System.Text.Encoding.ASCII.GetBytes(name),
            Http = new UpstreamHttp(protocol, Http2Options.Default),
            Balancing = balancing,
            All = new EndpointSet(endpoints, balancing),
            ConnectTimeoutMilliseconds = settings.ConnectMilliseconds,
            IdleMilliseconds = settings.UpstreamIdleMilliseconds,
            MaximumRequestsPerConnection = settings.MaximumRequestsUp,
            Limits = new ClusterLimits(settings.MaximumUpstreamConnections, settings.MaximumPending, settings.MaximumRequests),
            Scope = scope,
            Loads = [load],
        };
    }

    Endpoint MakeEndpoint(SocketAddressV4 address)
    {
        var kept = new EndpointState(1, 0);
        EndpointStates.Add(kept);
        return new Endpoint(address, scope, 1, new Dictionary<string, string>(), kept);
    }

    /// <summary>Something of the configuration is replaced, on the loop.</summary>
    public void Change(Worker worker)
    {
        var kind = state.Random.Below(4);
        state.Trace.Add("configuration changes", kind);
        switch (kind)
        {
            case 0:
                ReplaceRoutes();
                break;
            case 1:
                ReplaceCluster();
                break;
            case 2:
                var (name, routes) = settings.IsChained && state.Random.Chance(50) ? (Inner, innerRoutes) : (Outer, outerRoutes);
                MakeListener(name, routes);
                worker.RetireWhere(chain => chain.Listener == name && chain.Identity != identity);
                break;
            default:
                var host = Hosts[state.Random.Below(Hosts.Count)];
                host.Reception = state.Random.Pick(Reception.Accepts, Reception.Refuses, Reception.IsSilent);
                break;
        }
    }

    public IEnumerable<UpstreamHost> CurrentHosts => slot.Current!.All.Endpoints.Select(e => e.State.ByLoop[0]).OfType<UpstreamHost>();

    public IEnumerable<UpstreamHost> UpstreamHosts => EndpointStates.Select(s => s.ByLoop[0]).OfType<UpstreamHost>();
}
