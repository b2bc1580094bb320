using System.Collections.Frozen;
using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using static Weir.Proxy.Tests.ProxyHarness;
using Cluster = Weir.Proxy.LoadBalancing.Cluster;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Tests;

public class BalancingTests
{
    static readonly StatsScope Scope = new(new StatsLabels("", "", "", "", "", "", "", "", "", "", "", ""), 1);

    static Endpoint At(int number, uint weight = 1, long addedAt = long.MinValue / 2) =>
        new(new SocketAddressV4(0x7f000000u + (uint)number, 80), Scope, weight, FrozenDictionary<string, string>.Empty, new EndpointState(1, addedAt));

    static Cluster Build(BalancingOptions options, params Endpoint[] endpoints) => new()
    {
        Name = "c",
        NameBytes = [],
        Balancing = options,
        All = new EndpointSet(endpoints, options),
        ConnectTimeoutMilliseconds = 1,
        Limits = ClusterLimits.None,
        Scope = Scope,
        Loads = [new ClusterLoad()],
    };

    /// <summary>Clusters come and go for as long as a proxy lives; routes that name one find it whenever it comes.</summary>
    [Fact]
    public void The_table_keeps_no_cluster_that_is_gone_and_that_no_route_names()
    {
        var table = new ClusterTable();
        var named = table.Slot("named");
        var cluster = Build(new BalancingOptions(BalancingPolicy.Random), At(1));
        for (var i = 0; i < 10_000; i++)
        {
            table.Set($"c{i}", cluster);
            table.Set($"c{i}", null);
            if (i % 1000 == 0)
            {
                GC.Collect();
            }
        }

        Assert.InRange(table.Count, 1, 5000);
        Assert.Empty(table.All);
        table.Set("named", cluster);
        Assert.Same(cluster, named.Current);
        Assert.Same(named, table.Slot("named"));
        table.Set("named", null);
        Assert.Null(named.Current);
        table.Set("named", cluster);
        Assert.Same(cluster, named.Current);
    }

    static int[] Share(Cluster cluster, int draws, Func<int, ulong?>? hash = null)
    {
        using var loop = new EventLoop(0, TimeProvider.System);
        var balancer = new Balancer(loop, 42);
        var counts = new int[cluster.All.Endpoints.Length];
        for (var i = 0; i < draws; i++)
        {
            counts[Array.IndexOf(cluster.All.Endpoints, balancer.Pick(cluster, cluster.All, hash?.Invoke(i), null))]++;
        }

        return counts;
    }

    [Theory]
    [InlineData(BalancingPolicy.RoundRobin, 0)]
    [InlineData(BalancingPolicy.Random, 0.05)]
    [InlineData(BalancingPolicy.LeastRequest, 0.05)]
    [InlineData(BalancingPolicy.PeakEwma, 0.05)]
    [InlineData(BalancingPolicy.Maglev, 0.1)]
    [InlineData(BalancingPolicy.RingHash, 0.35)]
    public void Weights_are_shares(BalancingPolicy policy, double tolerance)
    {
        uint[] weights = [1, 2, 5, 2];
        var cluster = Build(new BalancingOptions(policy), [.. weights.Select((w, i) => At(i + 1, w))]);

        var counts = Share(cluster, 20_000, i => XxHash64.Hash(BitConverter.GetBytes(i)));

        for (var i = 0; i < weights.Length; i++)
        {
            var expected = 2000.0 * weights[i];
            Assert.InRange(counts[i], expected * (1 - tolerance), expected * (1 + tolerance));
        }
    }

    [Theory]
    [InlineData(BalancingPolicy.Maglev)]
    [InlineData(BalancingPolicy.RingHash)]
    public void A_key_stays_where_it_is_when_another_endpoint_goes(BalancingPolicy policy)
    {
        var endpoints = Enumerable.Range(1, 10).Select(i => At(i)).ToArray();
        var options = new BalancingOptions(policy);
        var before = Build(options, endpoints);
        var after = Build(options, endpoints[..^1]);
        using var loop = new EventLoop(0, TimeProvider.System);
        var balancer = new Balancer(loop, 1);
        int moved = 0, total = 0;
        for (var i = 0; i < 5000; i++)
        {
            var hash = XxHash64.Hash(BitConverter.GetBytes(i));
            var was = balancer.Pick(before, before.All, hash, null);
            Assert.Same(was, balancer.Pick(before, before.All, hash, null));
            if (!ReferenceEquals(was, endpoints[^1]))
            {
                total++;
                moved += ReferenceEquals(was, balancer.Pick(after, after.All, hash, null)) ? 0 : 1;
            }
        }

        // On a ring the others get a few places more each, as it is filled to its size again.
        Assert.InRange(moved, 0, total / 10);
    }

    [Fact]
    public void Least_request_avoids_the_busy_one_and_peak_ewma_the_slow_one()
    {
        using var loop = new EventLoop(0, TimeProvider.System);
        foreach (var policy in new[] { BalancingPolicy.LeastRequest, BalancingPolicy.PeakEwma })
        {
            var cluster = Build(new BalancingOptions(policy), At(1), At(2), At(3));
            foreach (var endpoint in cluster.All.Endpoints)
            {
                var host = new Upstream.UpstreamHost(new Tls.HandshakeQueue(loop, Tls.HandshakeLimits.Default), endpoint.Address, cluster.Loads[0]);
                host.Latency.Record(endpoint == cluster.All.Endpoints[0] ? 500 : 5, loop.Now, 10_000);
                host.ActiveRequests = policy == BalancingPolicy.LeastRequest && endpoint == cluster.All.Endpoints[0] ? 10 : 1;
                endpoint.State.ByLoop[0] = host;
            }

            var balancer = new Balancer(loop, 3);
            var counts = new int[3];
            for (var i = 0; i < 3000; i++)
            {
                counts[Array.IndexOf(cluster.All.Endpoints, balancer.Pick(cluster, cluster.All, null, null))]++;
            }

            // Of two different ones it is never the better.
            Assert.Equal(0, counts[0]);
        }
    }

    [Fact]
    public void A_new_endpoint_starts_slowly()
    {
        using var loop = new EventLoop(0, TimeProvider.System);
        var options = new BalancingOptions(BalancingPolicy.RoundRobin, SlowStartMilliseconds: 1_000_000, MinimumWeight: 0.1);
        var cluster = Build(options, At(1), At(2), At(3, addedAt: loop.Now));

        var counts = Share(cluster, 6000);

        Assert.InRange(counts[2], 100, 500);
        Assert.InRange(counts[0], 2500, 3300);
    }

    [Theory]
    [InlineData("", 0xef46db3751d8e999)]
    [InlineData("a", 0xd24ec4f1a98c6e5b)]
    [InlineData("abc", 0x44bc2cf5ad770999)]
    [InlineData("xxHash is an extremely fast hash algorithm, running at RAM speed limits", 0UL)]
    public void Hashes_as_xxhash_does(string text, ulong expected)
    {
        var hash = XxHash64.Hash(System.Text.Encoding.ASCII.GetBytes(text));
        if (expected != 0)
        {
            Assert.Equal(expected, hash);
        }

        // Long inputs take another way through the function: one changed byte must change all.
        var other = XxHash64.Hash(System.Text.Encoding.ASCII.GetBytes(text + "x"));
        Assert.InRange(System.Numerics.BitOperations.PopCount(hash ^ other), 10, 54);
    }

    static (string, int) Named(ProxyHarness proxy, string name) => (name, proxy.Answering($"HTTP/1.1 200 OK\r\nContent-Length: {name.Length}\r\n\r\n{name}"));

    static async Task<string> AskAsync(ProxyHarness proxy, string headers = "")
    {
        var answer = await proxy.ExchangeAsync($"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        return answer;
    }

    [Fact]
    public async Task A_header_keeps_its_requests_at_one_endpoint_and_a_cookie_is_given_to_those_without()
    {
        await using var proxy = new ProxyHarness();
        int[] ports = [.. Enumerable.Range(0, 5).Select(i => Named(proxy, $"s{i}").Item2)];
        Assert.Null(proxy.Cluster("c", ports, c => c.LbPolicy = XdsCluster.Types.LbPolicy.RingHash));
        var byHeader = To("c");
        byHeader.Route_.HashPolicy.Add(new RouteAction.Types.HashPolicy { Header = new() { HeaderName = "X-User" } });
        proxy.Routes(byHeader);
        var first = (await AskAsync(proxy, "X-User: anna\r\n"))[^2..];
        for (var i = 0; i < 5; i++)
        {
            Assert.EndsWith(first, await AskAsync(proxy, "X-User: anna\r\n"));
        }

        var byCookie = To("c");
        byCookie.Route_.HashPolicy.Add(new RouteAction.Types.HashPolicy { Cookie = new() { Name = "sticky", Ttl = Duration.FromTimeSpan(TimeSpan.FromHours(1)), Path = "/" } });
        proxy.Routes(byCookie);
        var given = await AskAsync(proxy);
        var cookie = given.Split("set-cookie: ")[1].Split(';')[0];
        Assert.Contains("; Max-Age=3600; Path=/; HttpOnly\r\n", given);
        for (var i = 0; i < 5; i++)
        {
            var again = await AskAsync(proxy, $"Cookie: x=1; {cookie}\r\n");
            Assert.EndsWith(given[^2..], again);
            Assert.DoesNotContain("set-cookie", again);
        }
    }

    [Fact]
    public async Task A_route_sends_to_the_subset_it_names()
    {
        await using var proxy = new ProxyHarness();
        var (one, two) = (Named(proxy, "v1").Item2, Named(proxy, "v2").Item2);
        Assert.Null(proxy.Cluster("c", [one, two], c =>
        {
            c.LbSubsetConfig = new XdsCluster.Types.LbSubsetConfig();
            c.LbSubsetConfig.SubsetSelectors.Add(new XdsCluster.Types.LbSubsetConfig.Types.LbSubsetSelector { Keys = { "version" } });
            for (var i = 0; i < 2; i++)
            {
                c.LoadAssignment.Endpoints[0].LbEndpoints[i].Metadata = Labels($"v{i + 1}");
            }
        }));
        var route = To("c");
        route.Route_.MetadataMatch = Labels("v2");
        proxy.Routes(route);
        for (var i = 0; i < 4; i++)
        {
            Assert.EndsWith("v2", await AskAsync(proxy));
        }

        // Nobody has it, and there is no fallback.
        route.Route_.MetadataMatch = Labels("v3");
        proxy.Routes(route);
        Assert.StartsWith("HTTP/1.1 503", await AskAsync(proxy));
    }

    static Metadata Labels(string version)
    {
        var metadata = new Metadata();
        metadata.FilterMetadata["envoy.lb"] = new Struct { Fields = { ["version"] = Value.ForString(version) } };
        return metadata;
    }

    [Fact]
    public async Task Endpoints_of_a_lower_priority_stand_in_only_when_there_is_no_other()
    {
        await using var proxy = new ProxyHarness();
        var (near, far) = (Named(proxy, "near").Item2, Named(proxy, "far!").Item2);
        void Build(XdsCluster c, HealthStatus health)
        {
            var second = c.LoadAssignment.Endpoints[0].Clone();
            second.LbEndpoints.RemoveAt(0);
            c.LoadAssignment.Endpoints[0].LbEndpoints.RemoveAt(1);
            c.LoadAssignment.Endpoints[0].LbEndpoints[0].HealthStatus = health;
            second.Priority = 1;
            c.LoadAssignment.Endpoints.Add(second);
        }

        proxy.Routes(To("c"));
        proxy.Cluster("c", [near, far], c => Build(c, HealthStatus.Healthy));
        Assert.EndsWith("near", await AskAsync(proxy));
        Assert.EndsWith("near", await AskAsync(proxy));
        proxy.Cluster("c", [near, far], c => Build(c, HealthStatus.Unhealthy));
        Assert.EndsWith("far!", await AskAsync(proxy));
    }

    [Fact]
    public async Task A_table_size_that_is_no_prime_is_refused()
    {
        await using var proxy = new ProxyHarness();

        Assert.Contains("maglev_lb_config.table_size: 100 is not a prime", proxy.Cluster("c", [1], c =>
        {
            c.LbPolicy = XdsCluster.Types.LbPolicy.Maglev;
            c.MaglevLbConfig = new XdsCluster.Types.MaglevLbConfig { TableSize = 100 };
        }));
    }
}
