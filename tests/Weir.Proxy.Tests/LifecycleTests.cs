using System.Net.Sockets;
using Envoy.Config.Core.V3;
using Envoy.Config.Listener.V3;
using Weir.Proxy.Configuration;
using Weir.Proxy.Lifecycle;
using Weir.Proxy.Listeners;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public sealed class LifecycleTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    readonly string directory = Directory.CreateTempSubdirectory("weir-life").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    static bool IsOk(string text) => text.EndsWith("ok", StringComparison.Ordinal);

    [Fact]
    public async Task A_loop_says_when_it_has_become_quiet_after_it_was_busy()
    {
        await using var proxy = new ProxyHarness(new EngineOptions { Seed = 1, QuietTime = TimeSpan.FromMilliseconds(200) });
        var quiet = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        proxy.Engine.OnQuiet = () => quiet.TrySetResult();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));
        await using var client = await proxy.ConnectAsync();
        for (var i = 0; i < 500; i++)
        {
            await WriteAsync(client, Get);
            await ReadAsync(client, IsOk);
        }

        await quiet.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_bad_resource_affects_only_itself_and_is_refused_by_name()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Answering(Ok);
        proxy.Clusters(("kept", [port]));
        var broken = BuildCluster("broken", [port]);
        broken.Type = Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.LogicalDns;
        var worsened = broken.Clone();
        worsened.Name = "kept";

        var refused = proxy.Store.Apply(
            XdsTypes.Cluster,
            [Resource("good", BuildCluster("good", [port])), Resource("broken", broken), Resource("kept", worsened)], []);

        Assert.Equal(["broken", "kept"], refused.Keys.Order());
        Assert.All(refused.Values, r => Assert.Contains("type LogicalDns is not supported", r));

        // The good one serves, and so does the old version of the one that got worse; the versions told to the control plane say so.
        Assert.Equal(("2", "1"), (proxy.Store.Versions(XdsTypes.Cluster)["good"], proxy.Store.Versions(XdsTypes.Cluster)["kept"]));
        foreach (var name in new[] { "good", "kept" })
        {
            proxy.Routes(To(name));
            Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, IsOk));
        }
    }

    static Weir.Xds.Client.ReceivedResource Resource(string name, Google.Protobuf.IMessage message) => new(name, "2", Google.Protobuf.MessageExtensions.ToByteString(message));

    [Fact]
    public async Task A_listener_whose_address_is_taken_is_refused_and_the_others_go_ahead()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        taken.Listen();
        var bad = new Listener { Name = "bad", Address = Socket(((System.Net.IPEndPoint)taken.LocalEndPoint!).Port) };
        bad.FilterChains.Add(ProxyHarness.Http(_ => { }, To("c")));
        var good = new Listener { Name = "good", Address = Socket(proxy.Port) };
        good.FilterChains.Add(ProxyHarness.Http(_ => { }, To("c")));

        Assert.Matches("^listener bad: cannot listen on 127.0.0.1:\\d+: address already in use$", proxy.Apply(XdsTypes.Listener, ("bad", bad), ("good", good)));
        Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, IsOk));
    }

    [Fact]
    public async Task Connections_outlive_changes_of_routes_and_are_let_go_when_their_listener_goes()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("one", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")]), ("two", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")]));
        void Table(string cluster)
        {
            var host = new Envoy.Config.Route.V3.VirtualHost { Name = "all", Domains = { "*" }, Routes = { To(cluster) } };
            Assert.Null(proxy.Apply(XdsTypes.Route, ("r", new Envoy.Config.Route.V3.RouteConfiguration { Name = "r", VirtualHosts = { host } })));
        }

        Assert.Null(proxy.Routes(h => h.Rds = new Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.Rds { RouteConfigName = "r" }));
        Assert.False(proxy.Store.IsReady);
        Table("one");
        Assert.True(proxy.Store.IsReady);
        await using var stream = await proxy.ConnectAsync();
        await WriteAsync(stream, Get);
        Assert.EndsWith("one", await ReadAsync(stream, t => t.EndsWith("one", StringComparison.Ordinal)));
        Table("two");
        await WriteAsync(stream, Get);
        var second = await ReadAsync(stream, t => t.EndsWith("two", StringComparison.Ordinal));
        Assert.DoesNotContain("connection: close", second);

        proxy.Store.Apply(XdsTypes.Listener, [], ["test"]);
        await WriteAsync(stream, Get);
        Assert.Contains("connection: close", await ReadAsync(stream, _ => false));
        await Assert.ThrowsAnyAsync<SocketException>(() => proxy.ConnectAsync());
    }

    [Fact]
    public async Task The_last_good_configuration_serves_without_a_control_plane()
    {
        var path = Path.Combine(directory, "last-good.bin");
        var port = FreePort();
        await using (var first = new ProxyHarness())
        {
            var kept = new LastGoodConfiguration(path, first.Store, first.Engine.Log, TimeProvider.System);
            first.Store.OnApplied = _ => kept.Touch();
            using var stop = new CancellationTokenSource();
            var keeping = kept.RunAsync(stop.Token);
            first.Clusters(("c", [port]));
            first.Routes(To("c"));
            Assert.True(SpinWait.SpinUntil(() => File.Exists(path), TimeSpan.FromSeconds(10)));
            await stop.CancelAsync();
            await keeping;
        }

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        await using var second = new ProxyHarness();
        new LastGoodConfiguration(path, second.Store, second.Engine.Log, TimeProvider.System).Load();

        Assert.True(second.Store.IsReady);
        Assert.Equal("1", second.Store.Versions(XdsTypes.Cluster)["c"]);
        Assert.Single(second.Store.InForce, h => h.Type == XdsTypes.Listener);
    }

    [Fact]
    public async Task A_damaged_file_is_left_alone_and_the_proxy_starts_empty()
    {
        var path = Path.Combine(directory, "last-good.bin");
        await File.WriteAllBytesAsync(path, [200, 1, 2, 3]);
        await using var proxy = new ProxyHarness();

        new LastGoodConfiguration(path, proxy.Store, proxy.Engine.Log, TimeProvider.System).Load();

        Assert.False(proxy.Store.IsReady);
        Assert.Empty(proxy.Store.InForce);
    }

    [Fact]
    public async Task A_successor_takes_over_without_a_refused_connection()
    {
        var path = Path.Combine(directory, "handover.sock");
        await using var first = new ProxyHarness();
        var upstream = first.Answering(Ok);
        first.Clusters(("c", [upstream]));
        first.Routes(To("c"));
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var replaced = new TaskCompletionSource();
        var offering = Handover.OfferAsync(path, first.Engine.ListeningSockets, () => replaced.SetResult(), first.Engine.Log, stop.Token);

        // New connections all the while.
        long served = 0;
        var failures = new List<string>();
        var asking = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    var answer = await first.ExchangeAsync(Get, IsOk);
                    if (!IsOk(answer))
                    {
                        failures.Add(answer);
                    }

                    Interlocked.Increment(ref served);
                }
                catch (SocketException e)
                {
                    failures.Add(e.Message);
                }
            }
        });
        SpinWait.SpinUntil(() => Interlocked.Read(ref served) > 50, TimeSpan.FromSeconds(10));
        var taken = Handover.Take(path, first.Engine.Log)!.Value;
        Assert.Single(taken.Sockets);
        var successor = new ProxyEngine(new EngineOptions { Seed = 2 }, new StatsRegistry(1), TimeProvider.System, first.Engine.Log);
        var store = new ConfigStore(successor, new NodeIdentity("sidecar~127.0.0.1~test.default~x", "test", "default", "test", "v1"));
        successor.Start(taken.Sockets);
        foreach (var (type, resource) in first.Store.InForce)
        {
            Assert.Empty(store.Apply(type, [resource], []));
        }

        taken.Confirm();
        await replaced.Task.WaitAsync(TimeSpan.FromSeconds(10));
        await first.Engine.BeginDrain();
        var before = Interlocked.Read(ref served);
        Assert.True(SpinWait.SpinUntil(() => Interlocked.Read(ref served) > before + 50, TimeSpan.FromSeconds(10)), string.Join("; ", failures));
        await stop.CancelAsync();
        await asking;
        await offering;

        Assert.Empty(failures);
        Assert.Contains(successor.Stats.All, s => s.All.Any());
        await successor.DrainAsync(TimeSpan.Zero, TimeProvider.System);
    }

    [Fact]
    public async Task Nothing_is_taken_over_where_nobody_offers()
    {
        Assert.Null(Handover.Take(Path.Combine(directory, "none.sock"), new ProxyLog(TimeProvider.System, TextWriter.Null)));
        await Task.CompletedTask;
    }
}
