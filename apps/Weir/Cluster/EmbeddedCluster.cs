using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;
using Weir.ApiServer.Hosting;
using Weir.ApiServer.Requests;
using Weir.ApiServer.Storage;
using Weir.App.ControlPlane;
using Weir.Client;
using Weir.Controllers;
using Weir.Delivery;
using Weir.Delivery.Checks;
using Weir.Delivery.Routing;
using Weir.Identity;
using Weir.Node.Addresses;
using Weir.Node.Autoscaling;
using Weir.Node.Garbage;
using Weir.Node.Images;
using Weir.Node.Injection;
using Weir.Node.Pods;
using Weir.Node.Services;
using Weir.Node.Workloads;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Telemetry.Prometheus;
using Weir.Telemetry.Scraping;
using Weir.Telemetry.Signals;

namespace Weir.App.Cluster;

/// <summary>A cluster in one process: the parts of the platform, put together. Reads as the list of what there is.</summary>
public sealed class EmbeddedCluster : IAsyncDisposable
{
    static readonly TimeSpan CertificateLifetime = TimeSpan.FromDays(365);

    readonly CancellationTokenSource stopping = new();
    readonly List<Task> running = [];
    readonly SqliteObjectStore store;
    readonly HttpClient http;
    WebApplication? api;
    WebApplication? xds;

    EmbeddedCluster(SqliteObjectStore store, HttpClient http, KubeClient client, SignalStore signals, int port)
    {
        this.store = store;
        this.http = http;
        Client = client;
        Signals = signals;
        Port = port;
    }

    public KubeClient Client { get; }

    public ISignals Signals { get; }

    public int Port { get; private set; }

    /// <param name="port">Of the API server; 0 for the one the cluster had before, or a free one.</param>
    /// <exception cref="IOException">The port is taken, or the store cannot be opened.</exception>
    public static async Task<EmbeddedCluster> StartAsync(DataDirectory data, int port, TimeProvider time, ILoggerFactory logs, CancellationToken cancel)
    {
        var catalog = KindCatalog.Default;
        var isNew = data.ReadIdentity() is null;
        var identity = Identify(data, port);
        var network = new NodeNetwork(identity.NetworkBlock);
        // Lives as long as the server that checks clients against it.
        var authority = CertificateAuthority.OpenOrCreate(data.Authority, "weir", time);

        // Storage and API server, with what is done to objects on their way in.
        var store = SqliteObjectStore.Open(data.Database);
        var podAddresses = new AddressPool(network.PodAddress);
        var serviceAddresses = new ServiceAddresses(new AddressPool(network.ServiceAddress));
        var namespaces = catalog.Get("", "Namespace");
        ResourceRegistry? registry = null;
        var injector = new SidecarInjector(ns => registry!.Find(namespaces, new ObjectKey("", ns)), BuiltInImages.Proxy);
        registry = new ResourceRegistry(store, catalog, [serviceAddresses, injector], time);
        serviceAddresses.Adopt(store.List(ResourceRegistry.PrefixOf(catalog.Get("", "Service"))).Items.Select(i => i.Resource));

        PodAccess? pods = null;
        var handler = new ApiHandler(registry, new LatePodAccess(() => pods!));
        var http = new HttpClient(new InMemoryHandler(handler.HandleAsync)) { BaseAddress = new Uri("http://api-server"), Timeout = Timeout.InfiniteTimeSpan };
        var client = new KubeClient(http);
        var signals = new SignalStore(time);
        var cluster = new EmbeddedCluster(store, http, client, signals, identity.ApiPort);

        // Every controller is a client like any other; one set of informers feeds them all.
        var informers = new Informers(client, catalog, time, logs);
        ILogger Log(string name) => logs.CreateLogger(name);
        var images = new ImageCatalogue(BuiltInImages.All(AppContext.BaseDirectory), data.Images);
        var environments = new ContainerEnvironment(client, catalog, images, NodeVariables(data));
        var agent = new PodAgent(client, catalog, informers, environments, podAddresses, new PodAgentOptions(Bootstrap.NodeName, data.Pods), time, Log("kubelet"));
        pods = new PodAccess(agent, time);
        var garbage = new GarbageCollector(client, catalog, informers, time, Log("garbage"));
        var publisher = new MeshPublisher(informers, client, time, Log("mesh"));
        var connector = new ServiceConnector(informers.For("", "Service"), informers.For("discovery.k8s.io", "EndpointSlice"));
        var outside = connector.CreateClient();
        Controller[] controllers =
        [
            agent,
            new DeploymentController(client, catalog, informers, time, Log("deployment")),
            new ReplicaSetController(client, catalog, informers, time, Log("replicaset")),
            new EndpointSliceController(client, catalog, informers, time, Log("endpointslice")),
            new EventExpiry(client, informers, time, Log("events")),
            new NamespaceController(client, catalog, informers, time, Log("namespace")),
            new HorizontalPodAutoscalerController(client, catalog, informers, agent.ProcessesOf, time, Log("autoscaler")),
            new GatewayProvisioner(client, catalog, informers, time, Log("gateway")),
            new CanaryController(client, catalog, informers, new IstioRouter(client, catalog), new Webhooks(outside, time),
                new MetricChecks(signals, new PrometheusClient(outside), client, catalog), time, Log("flagger")),
        ];
        var scraper = new Scraper(() => ScrapeTargets.Find(informers.For("", "Pod").All), signals,
            new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false }), time, Log("telemetry"));

        try
        {
            try
            {
                cluster.api = await StartApiAsync(handler, authority, identity, cancel);
            }
            catch (IOException) when (isNew && port == 0)
            {
                // Another program took the port in the moment after it was found free; nobody knows ours yet.
                identity = identity with { ApiPort = AnyFreePort() };
                cluster.Port = identity.ApiPort;
                data.WriteIdentity(identity);
                cluster.api = await StartApiAsync(handler, authority, identity, cancel);
            }

            KubeconfigFile.Write(data.Kubeconfig, identity.ApiPort, authority.Root, authority.IssueClient("weir-admin", "system:masters", CertificateLifetime));
            await Bootstrap.EnsureAsync(client, catalog, time, cancel);
            cluster.Run(informers.RunAsync);
            await informers.SyncedAsync(cancel);
            foreach (var pod in informers.For("", "Pod").All.Where(p => p.Status.Text("podIP") is not null))
            {
                podAddresses.Reserve(pod.Status.Text("podIP")!);
            }

            agent.RemoveStrangers();
            publisher.Publish();
            cluster.xds = await XdsHost.StartAsync(data.XdsSocket, publisher, m => Log("xds").LogError("{Message}", m), cancel);
            cluster.Run(publisher.RunAsync);
            cluster.Run(garbage.StartAsync);
            Array.ForEach(controllers, c => cluster.Run(c.RunAsync));
            cluster.Run(scraper.RunAsync);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops the control plane; pods and their proxies go on.</summary>
    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        foreach (var app in new[] { api, xds }.OfType<WebApplication>())
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            await app.StopAsync(limit.Token);
            await app.DisposeAsync();
        }

        await Task.WhenAll(running);
        http.Dispose();
        await store.DisposeAsync();
        stopping.Dispose();
    }

    void Run(Func<CancellationToken, Task> part) => running.Add(Task.Run(async () =>
    {
        try
        {
            await part(stopping.Token);
        }
        catch (OperationCanceledException)
        {
            // Stopped as asked.
        }
    }));

    static async Task<WebApplication> StartApiAsync(ApiHandler handler, CertificateAuthority authority, ClusterIdentity identity, CancellationToken cancel)
    {
        var certificate = authority.IssueServer(
            "kube-apiserver", ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"], [IPAddress.Loopback], CertificateLifetime);
        return await ApiServerHost.StartAsync(handler, new ApiServerOptions(identity.ApiPort, certificate, authority.Root, identity.Token), cancel);
    }

    static ClusterIdentity Identify(DataDirectory data, int port)
    {
        var known = data.ReadIdentity();
        var identity = known ?? new ClusterIdentity(
            port > 0 ? port : FreePort(), NodeNetwork.Choose(new Random(Environment.ProcessId)).Block, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24)));
        if (port > 0)
        {
            identity = identity with { ApiPort = port };
        }

        if (IsListening(identity.ApiPort))
        {
            throw new IOException($"port {identity.ApiPort} on 127.0.0.1 is taken: choose another with --port");
        }

        if (identity != known)
        {
            data.WriteIdentity(identity);
        }

        return identity;
    }

    static bool IsListening(int port) =>
        IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Any(e => e.Port == port && (e.Address.Equals(IPAddress.Loopback) || e.Address.Equals(IPAddress.Any)));

    /// <summary>Kubernetes' own port if it is free, else any.</summary>
    static int FreePort()
    {
        const int usual = 6443;
        return IsListening(usual) ? AnyFreePort() : usual;
    }

    static int AnyFreePort()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)probe.LocalEndPoint!).Port;
    }

    /// <summary>What every program needs to start at all, and what proxies need to find their control plane.</summary>
    static Dictionary<string, string> NodeVariables(DataDirectory data)
    {
        var variables = new Dictionary<string, string> { ["WEIR_XDS"] = "unix:" + data.XdsSocket, ["DOTNET_gcServer"] = "0" };
        foreach (var name in new[] { "PATH", "HOME", "LANG", "TMPDIR", "DOTNET_ROOT" })
        {
            if (Environment.GetEnvironmentVariable(name) is { Length: > 0 } value)
            {
                variables[name] = value;
            }
        }

        return variables;
    }

    /// <summary>Breaks the circle between the API server, which serves logs, and the agent, which is its client.</summary>
    sealed class LatePodAccess(Func<IPodAccess> access) : IPodAccess
    {
        public Task<ApiStatus?> WriteLogAsync(Resource pod, string container, LogOptions options, Stream output, CancellationToken cancel) =>
            access().WriteLogAsync(pod, container, options, output, cancel);

        public Task<int> ExecAsync(Resource pod, string container, IReadOnlyList<string> command, Stream? input, Stream output, Stream error, CancellationToken cancel) =>
            access().ExecAsync(pod, container, command, input, output, error, cancel);
    }
}
