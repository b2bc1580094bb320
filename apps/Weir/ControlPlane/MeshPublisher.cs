using System.Collections.Concurrent;
using System.Threading.Channels;

using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Dialects.Istio;
using Weir.Mesh;
using Weir.Node.Addresses;
using Weir.ProxyConfig;
using Weir.Resources;
using Weir.Xds;
using Weir.Xds.Server;

namespace Weir.App.ControlPlane;

/// <summary>
/// The joint between resources and proxies: watch events are gathered for a moment, folded into a new picture of the mesh, compiled
/// for each connected proxy, and published. It is also where acknowledgements come back, as status on the resources.
/// </summary>
public sealed class MeshPublisher : ISnapshotSource
{
    static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(10);
    static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(100);

    readonly Informer services;
    readonly Informer endpointSlices;
    readonly Informer pods;
    readonly Informer virtualServices;
    readonly Informer destinationRules;
    readonly Informer gateways;
    readonly TimeProvider time;
    readonly ILogger log;
    readonly RouteStatusWriter statuses;
    readonly CompileOptions options = new(NodeNetwork.ApplicationAddress, LowestPort());

    // One signal is as good as many: the bound is the debounce.
    readonly Channel<bool> changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    readonly ConcurrentDictionary<Subscription, byte> subscriptions = [];
    readonly Dictionary<(string Kind, ObjectKey Key), (string Version, object Model)> read = [];
    volatile MeshSnapshot mesh = MeshSnapshot.Empty;

    public MeshPublisher(Informers informers, KubeClient client, TimeProvider time, ILogger log)
    {
        this.time = time;
        this.log = log;
        services = informers.For("", "Service");
        endpointSlices = informers.For("discovery.k8s.io", "EndpointSlice");
        pods = informers.For("", "Pod");
        virtualServices = informers.For("networking.istio.io", "VirtualService");
        destinationRules = informers.For("networking.istio.io", "DestinationRule");
        gateways = informers.For("networking.istio.io", "Gateway");
        statuses = new RouteStatusWriter(client, [virtualServices, destinationRules, gateways], time, log);
        foreach (var informer in new[] { services, endpointSlices, pods, virtualServices, destinationRules, gateways })
        {
            informer.OnChange(_ => changes.Writer.TryWrite(true));
        }
    }

    /// <summary>Follows the changes that come after the first <see cref="Publish"/>.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        var writing = statuses.RunAsync(cancel);
        try
        {
            while (await changes.Reader.WaitToReadAsync(cancel))
            {
                await SettleAsync(cancel);
                Publish();
            }
        }
        finally
        {
            await writing;
        }
    }

    public ISnapshotSubscription Subscribe(Envoy.Config.Core.V3.Node node)
    {
        var proxy = ProxyNode.Parse(node.Id);
        if (proxy is null)
        {
            log.LogWarning("a proxy with the id {Id} is not known", node.Id);
        }

        var subscription = new Subscription(this, proxy, node.Id);
        subscriptions[subscription] = 0;
        subscription.Publish(mesh);
        return subscription;
    }

    /// <summary>Waits until nothing has changed for a moment, but not for long.</summary>
    async Task SettleAsync(CancellationToken cancel)
    {
        var began = time.GetUtcNow();
        do
        {
            changes.Reader.TryRead(out _);
            await Task.Delay(Quiet, time, cancel);
        }
        while (changes.Reader.Count > 0 && time.GetUtcNow() - began < Longest);
    }

    /// <summary>
    /// Compiles what the informers hold. Called once they are in step, before the first proxy is served: one that comes back from a break
    /// would take a picture of nothing for the end of all that it has.
    /// </summary>
    public void Publish()
    {
        mesh = MeshBuilder.Build(new MeshInputs(
            [.. services.All], [.. endpointSlices.All], [.. pods.All.Where(p => p.Status.Text("phase") is not ("Succeeded" or "Failed"))],
            [.. virtualServices.All.Select(r => Read(r, IstioReader.ReadVirtualService))],
            [.. destinationRules.All.Select(r => Read(r, IstioReader.ReadDestinationRule))],
            [.. gateways.All.Select(r => Read(r, IstioReader.ReadGateway))]), mesh);
        foreach (var subscription in subscriptions.Keys)
        {
            subscription.Publish(mesh);
        }

        Forget();
        statuses.Observe(mesh);
        ReportAcknowledged();
    }

    /// <summary>Models of resources that are gone are not kept.</summary>
    void Forget()
    {
        var informers = new[] { virtualServices, destinationRules, gateways };
        foreach (var key in read.Keys.Where(k => Array.TrueForAll(informers, i => i.Kind.Kind != k.Kind || i.Get(k.Key) is null)).ToList())
        {
            read.Remove(key);
        }
    }

    /// <summary>A resource is read once for each of its versions.</summary>
    T Read<T>(Resource resource, Func<Resource, T> reader)
        where T : class
    {
        var key = (resource.Kind, resource.Key);
        if (read.TryGetValue(key, out var known) && known.Version == resource.ResourceVersion)
        {
            return (T)known.Model;
        }

        var model = reader(resource);
        read[key] = (resource.ResourceVersion, model);
        return model;
    }

    void ReportAcknowledged()
    {
        var all = subscriptions.Keys.ToList();
        statuses.Acknowledged(all.Count == 0 ? mesh.Revision : all.Min(s => s.Acknowledged));
    }

    static int LowestPort()
    {
        const int unprivileged = 1024;
        return Environment.IsPrivilegedProcess ? 1
            : int.TryParse(File.ReadAllText("/proc/sys/net/ipv4/ip_unprivileged_port_start"), out var start) ? start : unprivileged;
    }

    /// <summary>One connected proxy.</summary>
    sealed class Subscription(MeshPublisher publisher, ProxyNode? node, string id) : ISnapshotSubscription
    {
        readonly Lock gate = new();
        TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public XdsSnapshot Current { get; private set; } = XdsSnapshot.Empty;

        public long Acknowledged { get; private set; }

        public void Publish(MeshSnapshot mesh)
        {
            if (node is null)
            {
                return;
            }

            var compiled = ProxyCompiler.Compile(mesh, node, publisher.options);
            lock (gate)
            {
                // A newer one may have been compiled meanwhile, by the publisher's own task.
                if (compiled.Revision < Current.Revision)
                {
                    return;
                }

                Current = compiled;
                changed.TrySetResult();
                changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }

        public Task ChangedAsync(XdsSnapshot seen, CancellationToken cancel)
        {
            lock (gate)
            {
                return ReferenceEquals(Current, seen) ? changed.Task.WaitAsync(cancel) : Task.CompletedTask;
            }
        }

        public void Acknowledge(long revision)
        {
            Acknowledged = revision;
            publisher.ReportAcknowledged();
        }

        public void Reject(string type, string reason) => publisher.log.LogWarning("proxy {Id} refused {Type}: {Reason}", id, type, reason);

        public void Dispose()
        {
            publisher.subscriptions.TryRemove(this, out _);
            publisher.ReportAcknowledged();
        }
    }
}
