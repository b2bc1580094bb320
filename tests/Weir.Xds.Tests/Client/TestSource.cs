using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Listener.V3;
using Envoy.Config.Route.V3;
using Weir.Xds.Server;

namespace Weir.Xds.Tests.Client;

/// <summary>What the servers of these tests serve, and what they are told back.</summary>
sealed class TestSource : Eventually, ISnapshotSource, ISnapshotSubscription
{
    TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    XdsSnapshot current = XdsSnapshot.Empty;
    long acknowledged;

    public List<Node> Nodes { get; } = [];
    public List<string> Rejected { get; } = [];

    public XdsSnapshot Current
    {
        get
        {
            lock (Gate)
            {
                return current;
            }
        }
    }

    public static (string, XdsResource) Cluster(string name, int seconds = 1, bool isEds = true) => (XdsTypes.Cluster, new XdsResource(name, new Cluster
    {
        Name = name,
        ConnectTimeout = new() { Seconds = seconds },
        Type = isEds ? Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Eds : default,
    }));

    public static (string, XdsResource) Endpoints(string name) => (XdsTypes.Endpoints, new XdsResource(name, new ClusterLoadAssignment { ClusterName = name }));

    public static (string, XdsResource) Listener(string name) => (XdsTypes.Listener, new XdsResource(name, new Listener { Name = name }));

    public static (string, XdsResource) Route(string name) => (XdsTypes.Route, new XdsResource(name, new RouteConfiguration { Name = name }));

    public void Set(params IEnumerable<(string, XdsResource)> resources)
    {
        TaskCompletionSource before = null!;
        Change(() =>
        {
            current = XdsSnapshot.Create(current.Revision + 1, resources);
            before = changed;
            changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        });
        before.SetResult();
    }

    public ISnapshotSubscription Subscribe(Node node)
    {
        Change(() => Nodes.Add(node));
        return this;
    }

    public Task ChangedAsync(XdsSnapshot seen, CancellationToken cancel)
    {
        lock (Gate)
        {
            return ReferenceEquals(seen, current) ? changed.Task.WaitAsync(cancel) : Task.CompletedTask;
        }
    }

    public long AcknowledgedRevision
    {
        get
        {
            lock (Gate)
            {
                return acknowledged;
            }
        }
    }

    public void Acknowledge(long revision) => Change(() => acknowledged = Math.Max(acknowledged, revision));

    public void Reject(string type, string reason) => Change(() => Rejected.Add(reason));

    public Task AcknowledgedAsync(long revision) => UntilAsync(() => acknowledged >= revision, () => $"acknowledged is {acknowledged}");

    public Task RejectedAsync(int times) => UntilAsync(() => Rejected.Count >= times, () => $"rejected {Rejected.Count} times");

    public void Dispose()
    {
    }
}
