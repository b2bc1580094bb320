using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class HttpProxyTests
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    static bool EndsWithOk(string text) => text.EndsWith("\r\n\r\nok", StringComparison.Ordinal);

    [Fact]
    public async Task Passes_a_request_on_without_what_is_between_hops()
    {
        await using var proxy = new ProxyHarness();
        var seen = new TaskCompletionSource<string>();
        var port = proxy.Upstream(async stream =>
        {
            seen.SetResult(await ReadHeadAsync(stream));
            await WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nKeep-Alive: timeout=5\r\n\r\nok");
        });
        Assert.Null(proxy.Clusters(("c", [port])));
        Assert.Null(proxy.Routes(To("c")));

        var answer = await proxy.ExchangeAsync("GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nTE: trailers\r\nX-Kept: 2\r\nx-request-id: 7\r\n\r\n");

        Assert.Equal("GET /a?b=c HTTP/1.1\r\nhost: example.com\r\nX-Kept: 2\r\nx-request-id: 7\r\n\r\n", await seen.Task);
        Assert.Equal("HTTP/1.1 200 OK\r\nX-End: 2\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", answer);
    }

    [Fact]
    public async Task Keeps_connections_open_on_both_sides_and_serves_pipelined_requests_in_order()
    {
        await using var proxy = new ProxyHarness();
        var connections = 0;
        var port = proxy.Upstream(async stream =>
        {
            Interlocked.Increment(ref connections);
            for (string head; (head = await ReadHeadAsync(stream)).Length > 0;)
            {
                var path = head.Split(' ')[1];
                await WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Length: {path.Length}\r\n\r\n{path}");
            }
        });
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync(string.Concat(Enumerable.Range(0, 20).Select(i => $"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")), t => t.EndsWith("/19", StringComparison.Ordinal));

        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"/{i}"), answer.Split("\r\n\r\n").Skip(1).Select(p => p.Split("HTTP/1.1")[0]));
        Assert.Equal(1, connections);
    }

    [Theory]
    [InlineData("Content-Length: 11\r\n\r\nhello world", "Content-Length: 11")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n", "transfer-encoding: chunked")]
    public async Task Bodies_stream_both_ways(string framed, string expected)
    {
        await using var proxy = new ProxyHarness();
        var body = framed[(framed.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..];
        var port = proxy.Upstream(async stream =>
        {
            var head = await ReadHeadAsync(stream);
            Assert.Contains(expected, head, StringComparison.OrdinalIgnoreCase);
            var received = await ReadAsync(stream, t => t.Length >= body.Length);
            await WriteAsync(stream, $"HTTP/1.1 200 OK\r\n{framed[..framed.IndexOf("\r\n\r\n", StringComparison.Ordinal)]}\r\n\r\n{received}");
        });
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync($"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framed}");

        Assert.EndsWith("\r\n\r\n" + body, answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_larger_than_all_buffers_goes_through_unharmed()
    {
        await using var proxy = new ProxyHarness();
        const int size = 8 * 1024 * 1024;
        var sent = new byte[size];
        new Random(1).NextBytes(sent);
        var port = proxy.Upstream(async stream =>
        {
            await ReadHeadAsync(stream);
            await WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            var buffer = new byte[65536];
            for (int total = 0, read; total < size; total += read)
            {
                read = await stream.ReadAsync(buffer);
                await stream.WriteAsync(buffer.AsMemory(0, read));
            }
        });
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c"));
        await using var client = await proxy.ConnectAsync();
        var writing = Task.Run(async () =>
        {
            await WriteAsync(client, $"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
            await client.WriteAsync(sent);
        });

        await ReadHeadAsync(client);
        var received = new byte[size];
        await client.ReadExactlyAsync(received);
        await writing;

        Assert.True(sent.AsSpan().SequenceEqual(received));
    }

    [Fact]
    public async Task A_client_that_expects_to_continue_is_told_to()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            Assert.DoesNotContain("expect", await ReadHeadAsync(stream), StringComparison.OrdinalIgnoreCase);
            await ReadAsync(stream, t => t == "body");
            await WriteAsync(stream, Ok);
        });
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c"));
        await using var client = await proxy.ConnectAsync();

        await WriteAsync(client, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
        Assert.Equal("HTTP/1.1 100 Continue\r\n\r\n", await ReadHeadAsync(client));
        await WriteAsync(client, "body");

        Assert.StartsWith("HTTP/1.1 200", await ReadAsync(client, EndsWithOk), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Interim_answers_are_passed_on_and_the_final_one_follows()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + Ok)]));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync(Get, EndsWithOk);

        Assert.StartsWith("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_answer_to_head_has_no_body_and_the_connection_goes_on()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")]));
        proxy.Routes(To("c"));
        const string head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

        var answer = await proxy.ExchangeAsync(head + head, t => t.Split("content-length: 500").Length == 3 && t.EndsWith("\r\n\r\n", StringComparison.Ordinal));

        Assert.Equal(3, answer.Split("HTTP/1.1 200").Length);
    }

    [Fact]
    public async Task Clients_of_the_old_version_get_content_without_chunks()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")]));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync("GET / HTTP/1.0\r\nHost: a\r\n\r\n");

        Assert.EndsWith("\r\n\r\nhello world", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("chunked", answer, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\n\r\n", "400")]
    [InlineData("garbage\r\n\r\n", "400")]
    [InlineData("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505")]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "400")]
    public async Task What_is_malformed_is_answered_and_the_connection_closed(string request, string status)
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync(request);

        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        Assert.Contains("connection: close", answer, StringComparison.Ordinal);
        Assert.Equal(2, answer.Split("HTTP/1.1 ").Length);
    }

    [Fact]
    public async Task Too_large_a_head_is_refused()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));

        var fits = await proxy.ExchangeAsync($"GET / HTTP/1.1\r\nHost: a\r\nX: {new string('x', 40_000)}\r\n\r\n", EndsWithOk);
        var large = await proxy.ExchangeAsync($"GET / HTTP/1.1\r\nHost: a\r\nX: {new string('x', 70_000)}\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 200", fits, StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 431", large, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_endpoints_the_answer_says_so_and_is_counted_with_its_reason()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", []));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync(Get, t => t.EndsWith("upstream", StringComparison.Ordinal));

        Assert.StartsWith("HTTP/1.1 503", answer, StringComparison.Ordinal);
        Assert.Equal(1, proxy.Count(503, ResponseFlag.UH));
    }

    [Fact]
    public async Task A_refused_connection_is_tried_elsewhere()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [FreePort(), proxy.Answering(Ok)]));
        proxy.Routes(To("c"));

        for (var i = 0; i < 4; i++)
        {
            Assert.StartsWith("HTTP/1.1 200", await proxy.ExchangeAsync(Get, EndsWithOk), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task When_nobody_can_be_connected_to_the_reason_is_counted()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [FreePort()]));
        proxy.Routes(To("c"));

        Assert.StartsWith("HTTP/1.1 503", await proxy.ExchangeAsync(Get, t => t.EndsWith("failure", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Equal(1, proxy.Count(503, ResponseFlag.UF));
    }

    [Fact]
    public async Task A_kept_connection_that_the_upstream_closed_is_replaced_unnoticed()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            // One answer on each connection, without saying that it will close.
            await ReadHeadAsync(stream);
            await WriteAsync(stream, Ok);
        });
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c"));
        await using var client = await proxy.ConnectAsync();

        for (var i = 0; i < 50; i++)
        {
            await WriteAsync(client, Get);
            Assert.StartsWith("HTTP/1.1 200", await ReadAsync(client, EndsWithOk), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task An_answer_that_breaks_off_is_not_passed_off_as_whole()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            await ReadHeadAsync(stream);
            await WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        });
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync(Get);

        Assert.EndsWith("only this", answer.Replace("<reset>", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal(1, proxy.Count(200, ResponseFlag.UC));
    }

    [Fact]
    public async Task Garbage_from_an_upstream_is_a_bad_gateway()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("SSH-2.0-OpenSSH\r\n\r\n")]));
        proxy.Routes(To("c"));

        Assert.StartsWith("HTTP/1.1 502", await proxy.ExchangeAsync(Get, t => t.EndsWith("error", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_slow_upstream_runs_into_the_routes_timeout()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream => await ReadAsync(stream, _ => false));
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c", TimeSpan.FromMilliseconds(150)));

        Assert.StartsWith("HTTP/1.1 504", await proxy.ExchangeAsync(Get, t => t.EndsWith("timeout", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Equal(1, proxy.Count(504, ResponseFlag.UT));
    }

    [Fact]
    public async Task An_early_answer_reaches_a_client_that_is_still_sending()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            await ReadHeadAsync(stream);
            await WriteAsync(stream, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
            await ReadAsync(stream, _ => false);
        });
        proxy.Clusters(("c", [port]));
        proxy.Routes(To("c"));

        var answer = await proxy.ExchangeAsync("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome", t => t.EndsWith("no", StringComparison.Ordinal));

        Assert.StartsWith("HTTP/1.1 413", answer, StringComparison.Ordinal);
        Assert.Contains("connection: close", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Weights_are_exact_over_consecutive_requests()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("a", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")]), ("b", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")]));
        var action = new RouteAction { WeightedClusters = new WeightedCluster() };
        action.WeightedClusters.Clusters.Add(new WeightedCluster.Types.ClusterWeight { Name = "a", Weight = 70 });
        action.WeightedClusters.Clusters.Add(new WeightedCluster.Types.ClusterWeight { Name = "b", Weight = 30 });
        proxy.Routes(new Route { Match = new RouteMatch { Prefix = "/" }, Route_ = action });
        await using var client = await proxy.ConnectAsync();
        var answers = new StringBuilder();
        for (var i = 0; i < 100; i++)
        {
            await WriteAsync(client, Get);
            answers.Append((await ReadAsync(client, t => t.Contains("\r\n\r\n", StringComparison.Ordinal) && !t.EndsWith('\n')))[^1]);
        }

        Assert.Equal(30, answers.ToString().Count(c => c == 'b'));
        Assert.All(Enumerable.Range(0, 90), i => Assert.InRange(answers.ToString().Substring(i, 10).Count(c => c == 'b'), 2, 4));
    }

    [Fact]
    public async Task Rules_match_in_order_and_rewrite()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            for (string head; (head = await ReadHeadAsync(stream)).Length > 0;)
            {
                await WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Length: {head.Length}\r\nX-Secret: 1\r\n\r\n{head}");
            }
        });
        proxy.Clusters(("c", [port]));
        var rewriting = To("c");
        rewriting.Match = new RouteMatch { Prefix = "/old/" };
        rewriting.Match.Headers.Add(new HeaderMatcher { Name = ":method", StringMatch = new Envoy.Type.Matcher.V3.StringMatcher { Exact = "GET" } });
        rewriting.Route_.PrefixRewrite = "/new/";
        rewriting.Route_.HostRewriteLiteral = "inner";
        rewriting.RequestHeadersToAdd.Add(new HeaderValueOption { Header = new HeaderValue { Key = "X-Set", Value = "1" }, AppendAction = HeaderValueOption.Types.HeaderAppendAction.OverwriteIfExistsOrAdd });
        rewriting.ResponseHeadersToRemove.Add("x-secret");
        var redirect = new Route { Match = new RouteMatch { Path = "/moved" }, Redirect = new RedirectAction { PathRedirect = "/there", HostRedirect = "example.com" } };
        Assert.Null(proxy.Routes(rewriting, redirect));

        var answer = await proxy.ExchangeAsync("GET /old/a HTTP/1.1\r\nHost: outer\r\nX-Set: 0\r\nConnection: close\r\n\r\n");
        var moved = await proxy.ExchangeAsync("GET /moved HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        var none = await proxy.ExchangeAsync("POST /old/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

        Assert.Contains("GET /new/a HTTP/1.1\r\nhost: inner\r\n", answer, StringComparison.Ordinal);
        Assert.Contains("x-set: 1\r\n", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("X-Set: 0", answer, StringComparison.Ordinal);
        Assert.DoesNotContain("X-Secret", answer, StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 301", moved, StringComparison.Ordinal);
        Assert.Contains("location: http://example.com/there", moved, StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 404", none, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_refused_change_leaves_what_was_in_force()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));

        var broken = To("c");
        broken.Match = new RouteMatch { SafeRegex = new Envoy.Type.Matcher.V3.RegexMatcher { Regex = "(" } };
        var error = proxy.Routes(broken);

        Assert.NotNull(error);
        Assert.StartsWith("HTTP/1.1 200", await proxy.ExchangeAsync(Get, EndsWithOk), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "Content-Length: 2\r\n\r\nok")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", "body", "Content-Length: 2\r\n\r\nok")]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo", "dy\r\n0\r\n\r\n", "Content-Length: 2\r\n\r\nok")]
    public async Task Steady_state_allocates_nothing_for_a_request(string first, string second, string answer)
    {
        await using var proxy = new ProxyHarness();
        var arrived = new SemaphoreSlim(0);
        var end = answer[answer.IndexOf("\r\n\r\n", StringComparison.Ordinal)..];
        proxy.Clusters(("c", [proxy.Upstream(async stream =>
        {
            while ((await ReadHeadAsync(stream)).Length > 0)
            {
                arrived.Release();
                if (second.Length > 0)
                {
                    await ReadAsync(stream, t => t.EndsWith(second, StringComparison.Ordinal));
                }

                await WriteAsync(stream, $"HTTP/1.1 200 OK\r\n{answer}");
            }
        })]));
        proxy.Routes(To("c"));
        await using var client = await proxy.ConnectAsync();
        async Task<long> RunAsync(int count)
        {
            for (var i = 0; i < count; i++)
            {
                await WriteAsync(client, first);
                await arrived.WaitAsync();
                await WriteAsync(client, second);
                await ReadAsync(client, t => t.EndsWith(end, StringComparison.Ordinal));
            }

            return await proxy.AllocatedByLoopAsync();
        }

        var before = await RunAsync(300);
        var after = await RunAsync(300);

        // Reading the counter itself costs a little; a request must cost nothing.
        Assert.InRange(after - before, 0, 2000);
    }

    [Fact]
    public async Task Routes_wait_for_the_endpoints_of_their_clusters()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));
        var cluster = new Envoy.Config.Cluster.V3.Cluster { Name = "late", Type = Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Eds };
        Assert.Null(proxy.Apply(XdsTypes.Cluster, ("late", cluster)));

        Assert.Contains("late", proxy.Store.References(XdsTypes.Endpoints));
        Assert.StartsWith("HTTP/1.1 200", await proxy.ExchangeAsync(Get, EndsWithOk), StringComparison.Ordinal);
    }
}
