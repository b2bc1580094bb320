using System.IO.Pipelines;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Route.V3;
using Envoy.Service.Discovery.V3;
using Google.Protobuf;
using Weir.Xds.Server;

namespace Weir.Xds.Tests;

public sealed class DeltaStreamTests : IAsyncDisposable
{
    sealed class Source : ISnapshotSource, ISnapshotSubscription
    {
        TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public XdsSnapshot Current { get; private set; } = XdsSnapshot.Empty;
        public List<string> Rejected { get; } = [];
        public long Acknowledged { get; private set; }

        public ISnapshotSubscription Subscribe(Envoy.Config.Core.V3.Node node) => this;

        public void Set(long revision, params (string Type, string Name, int Seconds)[] resources)
        {
            Current = XdsSnapshot.Create(revision, resources.Select(r => (r.Type, new XdsResource(r.Name, r.Type == XdsTypes.Cluster
                ? new Cluster { Name = r.Name, ConnectTimeout = new() { Seconds = r.Seconds } } : new RouteConfiguration { Name = r.Name }))));
            var was = changed;
            changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
            was.SetResult();
        }

        public Task ChangedAsync(XdsSnapshot seen, CancellationToken cancel) =>
            ReferenceEquals(seen, Current) ? changed.Task.WaitAsync(cancel) : Task.CompletedTask;

        readonly Lock gate = new();
        TaskCompletionSource acknowledged = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Acknowledge(long revision)
        {
            lock (gate)
            {
                Acknowledged = revision;
                acknowledged.TrySetResult();
                acknowledged = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }

        /// <summary>An acknowledgement travels by itself: it may come before or after the next change.</summary>
        public async Task AcknowledgedAsync(long revision)
        {
            while (true)
            {
                Task next;
                lock (gate)
                {
                    if (Acknowledged >= revision)
                    {
                        return;
                    }

                    next = acknowledged.Task;
                }

                await next.WaitAsync(TimeSpan.FromSeconds(10));
            }
        }

        public void Reject(string type, string reason) => Rejected.Add(reason);

        public void Dispose()
        {
        }
    }

    readonly Source source = new();
    readonly Pipe requests = new();
    readonly Pipe responses = new();
    readonly CancellationTokenSource ending = new(TimeSpan.FromSeconds(20));
    readonly Task serving;

    public DeltaStreamTests()
    {
        source.Set(1, (XdsTypes.Cluster, "a", 1), (XdsTypes.Cluster, "b", 1), (XdsTypes.Route, "r", 0));
        serving = new DeltaStream(source, requests.Reader.AsStream(), responses.Writer.AsStream()).RunAsync(ending.Token);
    }

    async Task SendAsync(DeltaDiscoveryRequest request) => await requests.Writer.WriteAsync(GrpcFraming.Encode(request));

    async Task<DeltaDiscoveryResponse> ReadAsync() =>
        DeltaDiscoveryResponse.Parser.ParseFrom(await GrpcFraming.ReadAsync(responses.Reader.AsStream(leaveOpen: true), ending.Token));

    Task AckAsync(DeltaDiscoveryResponse response) => SendAsync(new DeltaDiscoveryRequest { TypeUrl = response.TypeUrl, ResponseNonce = response.Nonce });

    static IEnumerable<string> Names(DeltaDiscoveryResponse response) => response.Resources.Select(r => r.Name).Order();

    [Fact]
    public async Task Sends_everything_once_and_then_only_what_changed()
    {
        await SendAsync(new DeltaDiscoveryRequest { TypeUrl = XdsTypes.Cluster });
        var first = await ReadAsync();
        await AckAsync(first);
        source.Set(2, (XdsTypes.Cluster, "a", 1), (XdsTypes.Cluster, "b", 9));
        var second = await ReadAsync();
        await AckAsync(second);
        source.Set(3, (XdsTypes.Cluster, "b", 9));
        var third = await ReadAsync();

        Assert.Equal(["a", "b"], Names(first));
        Assert.Equal(["b"], Names(second));
        Assert.Equal((0, "a"), (third.Resources.Count, third.RemovedResources.Single()));
    }

    [Fact]
    public async Task A_proxy_that_comes_back_gets_only_what_it_lacks()
    {
        var request = new DeltaDiscoveryRequest { TypeUrl = XdsTypes.Cluster };
        request.InitialResourceVersions.Add("a", source.Current.Of(XdsTypes.Cluster)["a"].Version);
        request.InitialResourceVersions.Add("gone", "1");

        await SendAsync(request);
        var response = await ReadAsync();

        Assert.Equal(["b"], Names(response));
        Assert.Equal(["gone"], response.RemovedResources);
    }

    [Fact]
    public async Task Named_resources_are_sent_to_those_who_ask_for_them()
    {
        var request = new DeltaDiscoveryRequest { TypeUrl = XdsTypes.Route };
        request.ResourceNamesSubscribe.Add("nowhere");
        await SendAsync(request);
        var empty = await ReadAsync();
        request.ResourceNamesSubscribe[0] = "r";
        await SendAsync(request);

        Assert.Empty(empty.Resources);
        Assert.Equal(["r"], Names(await ReadAsync()));
    }

    [Fact]
    public async Task New_clusters_come_before_the_routes_that_need_them_and_old_ones_go_after()
    {
        await SendAsync(new DeltaDiscoveryRequest { TypeUrl = XdsTypes.Cluster });
        await AckAsync(await ReadAsync());
        var routes = new DeltaDiscoveryRequest { TypeUrl = XdsTypes.Route };
        routes.ResourceNamesSubscribe.AddRange(["r", "s"]);
        await SendAsync(routes);
        await AckAsync(await ReadAsync());

        source.Set(2, (XdsTypes.Cluster, "c", 1), (XdsTypes.Route, "s", 0));
        var order = new[] { await ReadAsync(), await ReadAsync(), await ReadAsync(), await ReadAsync() };

        Assert.Equal(
            ["Cluster +c", "RouteConfiguration +s", "RouteConfiguration -r", "Cluster -a,b"],
            order.Select(r => r.TypeUrl[(r.TypeUrl.LastIndexOf('.') + 1)..] + (r.Resources.Count > 0 ? " +" + string.Join(',', Names(r)) : " -" + string.Join(',', r.RemovedResources.Order()))));
    }

    [Fact]
    public async Task Acknowledgements_and_refusals_are_reported()
    {
        await SendAsync(new DeltaDiscoveryRequest { TypeUrl = XdsTypes.Cluster });
        await AckAsync(await ReadAsync());
        await source.AcknowledgedAsync(1);
        source.Set(2, (XdsTypes.Cluster, "a", 5));
        var response = await ReadAsync();

        // The removal that belongs to this change comes by itself.
        var removal = await ReadAsync();
        await SendAsync(new DeltaDiscoveryRequest { TypeUrl = XdsTypes.Cluster, ResponseNonce = response.Nonce, ErrorDetail = new Google.Rpc.Status { Message = "no" } });
        await AckAsync(removal);
        source.Set(3, (XdsTypes.Cluster, "a", 6));
        await AckAsync(await ReadAsync());
        await requests.Writer.CompleteAsync();
        await serving;

        Assert.Equal(["no"], source.Rejected);
        Assert.Equal(3, source.Acknowledged);
    }

    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        await serving;
        ending.Dispose();
    }
}
