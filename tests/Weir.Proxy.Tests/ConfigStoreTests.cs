using System.Net;
using System.Net.Sockets;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Listener.V3;
using Envoy.Config.Route.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Type.Matcher.V3;
using Google.Protobuf;
using Weir.Proxy.Configuration;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using Weir.Xds.Client;
using static Weir.Proxy.Tests.ProxyHarness;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Tests;

public class ConfigStoreTests
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    static bool IsOk(string text) => text.EndsWith("ok", StringComparison.Ordinal);

    static ReceivedResource Resource(string name, IMessage message, string version = "2") => new(name, version, message.ToByteString());

    static RouteConfiguration Table(string name, string domain, params Route[] routes) =>
        new() { Name = name, VirtualHosts = { new VirtualHost { Name = "h", Domains = { domain }, Routes = { routes } } } };

    static Route Regex(string pattern)
    {
        var route = To("c");
        route.Match = new RouteMatch { SafeRegex = new RegexMatcher { Regex = pattern } };
        return route;
    }

    static Listener Listening(string name, int port, string cluster = "c")
    {
        var listener = new Listener { Name = name, Address = Socket(port) };
        listener.FilterChains.Add(ProxyHarness.Http(_ => { }, To(cluster)));
        return listener;
    }

    [Theory]
    [InlineData("*", "(?!admin).*", "look-ahead")]
    [InlineData("*", "(", "closing parenthesis is missing")]
    [InlineData("*", "(a{100}){100}", "repetitions within repetitions")]
    [InlineData("", "a", "domains: one is empty")]
    public async Task A_bad_resource_is_refused_by_name_and_everything_else_goes_on(string domain, string pattern, string reason)
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));

        var refused = proxy.Store.Apply(XdsTypes.Route, [Resource("bad", Table("bad", domain, Regex(pattern))), Resource("good", Table("good", "*", To("c")))], []);

        Assert.Contains(reason, Assert.Single(refused).Value);
        Assert.Equal("bad", refused.Single().Key);
        Assert.Null(proxy.Routes(h => h.Rds = new Rds { RouteConfigName = "good" }));
        Assert.Null(proxy.Apply(XdsTypes.Route, ("good", Table("good", "*", To("c")))));
        Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, IsOk));
        Assert.Contains(proxy.Engine.Notes, n => n is { Name: "bad", IsRefused: true });
    }

    [Fact]
    public void What_nobody_foresaw_is_a_refusal_and_one_line_in_the_log()
    {
        using var text = new StringWriter();
        var refusals = new Refusals(new ProxyLog(TimeProvider.System, text));
        var applied = new List<string>();

        var refused = refusals.Each("cluster", [new("a", "1", ByteString.Empty), new("b", "1", ByteString.Empty), new("c", "1", ByteString.Empty)], r =>
        {
            applied.Add(r.Name);
            _ = r.Name == "b" ? throw new InvalidOperationException("unforeseen") : 0;
        });

        Assert.Equal(["a", "b", "c"], applied);
        Assert.Equal(KeyValuePair.Create("b", "cluster b: internal error: InvalidOperationException"), Assert.Single(refused));
        Assert.Single(text.ToString().Split("is refused for an internal error"), part => part.Contains("unforeseen", StringComparison.Ordinal));
    }

    /// <summary>Messages with bits changed are read, refused or left; none is an end to all others.</summary>
    [Fact]
    public async Task No_bytes_at_all_keep_later_resources_from_being_taken()
    {
        const int seed = 20261124;
        var random = new Random(seed);
        await using var proxy = new ProxyHarness();
        var listener = Listening("l", FreePort());
        (string Type, byte[] Bytes)[] valid =
        [
            (XdsTypes.Cluster, BuildCluster("r", [1, 2]).ToByteArray()),
            (XdsTypes.Endpoints, BuildCluster("r", [1, 2]).LoadAssignment.ToByteArray()),
            (XdsTypes.Route, Table("r", "*", To("c"), Regex("a+")).ToByteArray()),
            (XdsTypes.Listener, listener.ToByteArray()),
            (XdsTypes.Secret, new Envoy.Extensions.TransportSockets.Tls.V3.Secret { Name = "r" }.ToByteArray()),
        ];
        for (var round = 0; round < 3000; round++)
        {
            var (type, bytes) = valid[random.Next(valid.Length)];
            var changed = (byte[])bytes.Clone();
            for (var flips = random.Next(1, 4); flips > 0; flips--)
            {
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            }

            try
            {
                proxy.Store.Apply(type, [new ReceivedResource(type == XdsTypes.Listener ? "l" : "r", "1", ByteString.CopyFrom(changed))], random.Next(4) == 0 ? ["r", "l", "x"] : []);
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}, round {round}, {type}: {Convert.ToHexString(changed)}: {e}");
            }
        }

        proxy.Store.Apply(XdsTypes.Listener, [], ["l"]);
        proxy.Store.Apply("type.googleapis.com/unheard.of", [new ReceivedResource("r", "1", ByteString.Empty), new ReceivedResource("r", "1", ByteString.Empty)], ["r"]);
        Assert.Empty(proxy.Store.Versions("type.googleapis.com/unheard.of"));
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(To("c")));
        Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, IsOk));
    }

    [Fact]
    public async Task An_endpoint_that_comes_twice_counts_once_and_later_updates_go_through()
    {
        await using var proxy = new ProxyHarness();
        var cluster = BuildCluster("c", []);
        cluster.Type = XdsCluster.Types.DiscoveryType.Eds;
        cluster.LoadAssignment = null;
        Assert.Null(proxy.Apply(XdsTypes.Cluster, ("c", cluster)));
        Assert.Null(proxy.Routes(To("c")));
        var (first, second) = (proxy.Answering(Ok), proxy.Answering(Ok.Replace("ok", "up")));

        static ClusterLoadAssignment Assignment(params (int Port, uint Weight, uint Priority)[] endpoints)
        {
            var assignment = new ClusterLoadAssignment { ClusterName = "c" };
            foreach (var (port, weight, priority) in endpoints)
            {
                var built = BuildCluster("c", [port]).LoadAssignment.Endpoints[0].LbEndpoints[0];
                built.LoadBalancingWeight = weight;
                assignment.Endpoints.Add(new LocalityLbEndpoints { Priority = priority, LbEndpoints = { built } });
            }

            return assignment;
        }

        Assert.Null(proxy.Apply(XdsTypes.Endpoints, ("c", Assignment((first, 3, 0), (first, 5, 0), (first, 7, 1), (first, 9, 0)))));

        var endpoint = Assert.Single(proxy.Engine.Clusters.Slot("c").Current!.All.Endpoints);
        Assert.Equal(3u, endpoint.Weight);
        Assert.Contains(proxy.Engine.Notes, n => n.Name == "c" && n.Text.Contains($"endpoint 127.0.0.1:{first}, which an earlier one is, is not carried out", StringComparison.Ordinal));

        Assert.Null(proxy.Apply(XdsTypes.Endpoints, ("c", Assignment((second, 1, 0)))));
        Assert.EndsWith("up", await proxy.ExchangeAsync(Get, t => t.EndsWith("up", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task What_is_in_force_has_neither_what_was_refused_nor_what_waits()
    {
        await using var proxy = new ProxyHarness();
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen();
        var busy = ((IPEndPoint)taken.LocalEndPoint!).Port;
        proxy.Clusters(("c", [1]));
        var good = FreePort();
        Assert.Null(proxy.Apply(XdsTypes.Listener, ("good", Listening("good", good))));

        var waiting = new Listener { Name = "waits", Address = Socket(FreePort()) };
        waiting.FilterChains.Add(ProxyHarness.Http(h => h.Rds = new Rds { RouteConfigName = "to come" }));
        var refused = proxy.Store.Apply(
            XdsTypes.Listener, [Resource("good", Listening("good", busy)), Resource("new", Listening("new", busy)), Resource("waits", waiting)], []);

        Assert.Equal(["good", "new"], refused.Keys.Order());
        Assert.Equal(["good"], proxy.Store.InForce.Where(r => r.Type == XdsTypes.Listener).Select(r => r.Resource.Name));
        Assert.Equal("1", proxy.Store.InForce.Single(r => r.Type == XdsTypes.Listener).Resource.Version);
        Assert.Equal(["good", "waits"], proxy.Store.Versions(XdsTypes.Listener).Keys.Order());
        Assert.False(proxy.Store.IsReady);
        Assert.Null(proxy.Apply(XdsTypes.Route, ("to come", Table("to come", "*", To("c")))));
        Assert.Equal(["good", "waits"], proxy.Store.InForce.Where(r => r.Type == XdsTypes.Listener).Select(r => r.Resource.Name).Order());
        Assert.True(proxy.Store.IsReady);
    }

    [Fact]
    public async Task A_listener_whose_address_was_taken_serves_once_it_is_free()
    {
        await using var proxy = new ProxyHarness();
        var recovered = new List<string>();
        proxy.Store.OnRecovered = recovered.Add;
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        using (var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            taken.Bind(new IPEndPoint(IPAddress.Loopback, proxy.Port));
            taken.Listen();
            Assert.Contains("cannot listen", proxy.Routes(To("c")));
            proxy.Store.RetryBusyListeners();
            Assert.True(proxy.Store.HasBusyListeners);
            Assert.Contains(proxy.Engine.Notes, n => n.IsRefused && n.Name == "test");
        }

        using var ending = new CancellationTokenSource();
        var retrying = BusyListeners.RunAsync(proxy.Store, TimeProvider.System, ending.Token);
        Assert.True(SpinWait.SpinUntil(() => !proxy.Store.HasBusyListeners, TimeSpan.FromSeconds(20)));

        Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, IsOk));
        Assert.Empty(proxy.Engine.Notes);
        Assert.Equal([XdsTypes.Listener], recovered);
        Assert.Equal(["test"], proxy.Store.Versions(XdsTypes.Listener).Keys);
        await ending.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => retrying);
    }

    [Fact]
    public async Task A_listener_whose_address_was_taken_is_forgotten_when_it_is_removed()
    {
        await using var proxy = new ProxyHarness();
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, proxy.Port));
        taken.Listen();
        proxy.Clusters(("c", [1]));
        Assert.NotNull(proxy.Routes(To("c")));

        Assert.Empty(proxy.Store.Apply(XdsTypes.Listener, [], ["test"]));

        Assert.False(proxy.Store.HasBusyListeners);
        proxy.Store.RetryBusyListeners();
        Assert.Empty(proxy.Store.Versions(XdsTypes.Listener));
    }

    [Fact]
    public async Task Routes_that_wait_for_endpoints_leave_those_before_them_in_force()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Apply(XdsTypes.Route, ("r", Table("r", "*", To("c")))));
        Assert.Null(proxy.Routes(h => h.Rds = new Rds { RouteConfigName = "r" }));
        Assert.Null(proxy.Apply(XdsTypes.Route, ("r", Table("r", "*", To("c")))));
        var eds = BuildCluster("d", []);
        eds.Type = XdsCluster.Types.DiscoveryType.Eds;
        eds.LoadAssignment = null;
        proxy.Store.Apply(XdsTypes.Cluster, [Resource("d", eds)], []);

        proxy.Store.Apply(XdsTypes.Route, [Resource("r", Table("r", "*", To("d")))], []);

        Assert.Equal("1", proxy.Store.InForce.Single(r => r.Type == XdsTypes.Route).Resource.Version);
        Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, IsOk));

        // The last thing that it waits for brings it into force, whatever that is.
        proxy.Store.Apply(XdsTypes.Endpoints, [Resource("d", new ClusterLoadAssignment { ClusterName = "d" })], []);
        Assert.Equal("2", proxy.Store.InForce.Single(r => r.Type == XdsTypes.Route).Resource.Version);
    }

    [Fact]
    public async Task A_listener_that_names_routes_that_have_not_come_leaves_the_one_before_it_serving()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(To("c")));

        Assert.Null(proxy.Routes(h => h.Rds = new Rds { RouteConfigName = "to come" }));
        Assert.EndsWith("ok", await proxy.ExchangeAsync(Get, IsOk));

        proxy.Clusters(("d", [proxy.Answering(Ok.Replace("ok", "up"))]));
        Assert.Null(proxy.Apply(XdsTypes.Route, ("to come", Table("to come", "*", To("d")))));
        Assert.EndsWith("up", await proxy.ExchangeAsync(Get, t => t.EndsWith("up", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Names_that_are_empty_wrong_or_the_proxys_own_are_refused()
    {
        await using var proxy = new ProxyHarness(admin: new Admin.AdminOptions { StatusAddress = new(0x7F000001, (ushort)FreePort()) });

        Assert.Contains("its message is named b", proxy.Apply(XdsTypes.Cluster, ("a", BuildCluster("b", [1]))));
        Assert.Contains("a cluster's name: it is empty", proxy.Apply(XdsTypes.Cluster, ("", BuildCluster("", [1]))));
        Assert.Contains("its message is named b", proxy.Apply(XdsTypes.Listener, ("a", Listening("b", FreePort()))));
        Assert.Contains("a listener's name: it is empty", proxy.Apply(XdsTypes.Listener, ("", Listening("", FreePort()))));
        Assert.Contains("the proxy has one of its own of this name", proxy.Apply(XdsTypes.Listener, ("status", Listening("status", FreePort()))));
        Assert.Contains("cluster: it is empty", proxy.Apply(XdsTypes.Route, ("r", Table("r", "*", To("")))));
    }

    [Fact]
    public async Task Options_of_the_server_itself_match_the_prefix_of_everything()
    {
        await using var proxy = new ProxyHarness();
        var (port, head) = proxy.Recording(Ok);
        proxy.Clusters(("c", [port]));
        var route = To("c");
        route.Route_.PrefixRewrite = "/app";
        proxy.Routes(route);

        Assert.EndsWith("ok", await proxy.ExchangeAsync("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", IsOk));
        Assert.StartsWith("OPTIONS * HTTP/1.1\r\n", await head);
    }

    [Theory]
    [InlineData("GET http://a HTTP/1.1", "GET /app HTTP/1.1")]
    [InlineData("GET http://a?q HTTP/1.1", "GET /app?q HTTP/1.1")]
    [InlineData("GET /x HTTP/1.1", "GET /appx HTTP/1.1")]
    public async Task A_target_without_a_path_is_rewritten_as_the_root(string line, string expected)
    {
        await using var proxy = new ProxyHarness();
        var (port, head) = proxy.Recording(Ok);
        proxy.Clusters(("c", [port]));
        var route = To("c");
        route.Route_.PrefixRewrite = "/app";
        proxy.Routes(route);

        await proxy.ExchangeAsync($"{line}\r\nHost: a\r\n\r\n", IsOk);

        Assert.StartsWith(expected, await head);
    }

    [Fact]
    public async Task An_unescaped_path_is_not_redirected_to_another_host()
    {
        await using var proxy = new ProxyHarness();
        proxy.Routes(h => h.PathWithEscapedSlashesAction = HttpConnectionManager.Types.PathWithEscapedSlashesAction.UnescapeAndRedirect, To("c"));

        var answer = await proxy.ExchangeAsync("GET /%2Fevil HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

        Assert.Contains("\r\nlocation: /evil\r\n", answer);
    }
}
