using System.Net;
using System.Text;
using Weir.Proxy.Admin;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class AdminPagesTests
{
    [Theory]
    [InlineData("localhost", true)]
    [InlineData("LocalHost:15000", true)]
    [InlineData("127.0.0.1:15000", true)]
    [InlineData("127.8.9.10", true)]
    [InlineData("[::1]:15000", true)]
    [InlineData("[::1]", true)]
    [InlineData("", false)]
    [InlineData("evil.example", false)]
    [InlineData("evil.example:15000", false)]
    [InlineData("localhost.evil.example", false)]
    [InlineData("127.0.0.1.evil.example", false)]
    [InlineData("127.1", false)]
    [InlineData("0177.0.0.1", false)]
    [InlineData("2130706433", false)]
    [InlineData("localhost:x", false)]
    [InlineData("10.0.0.1", false)]
    [InlineData("::1", false)]
    public void Only_loopback_names_are_answered(string host, bool isAnswered) =>
        Assert.Equal(isAnswered, new PageRequest("GET", "/stats", host).Refusal() is null);

    [Theory]
    [InlineData("GET", null, null, true)]
    [InlineData("GET", "http://evil.example", "cross-site", true)]
    [InlineData("POST", null, null, true)]
    [InlineData("POST", null, "none", true)]
    [InlineData("POST", "http://evil.example", null, false)]
    [InlineData("POST", "null", null, false)]
    [InlineData("POST", "http://localhost:15000", "same-origin", false)]
    [InlineData("POST", null, "cross-site", false)]
    [InlineData("POST", null, "same-site", false)]
    [InlineData("DELETE", "http://evil.example", null, false)]
    public void A_page_in_a_browser_changes_nothing(string method, string? origin, string? site, bool isAnswered) =>
        Assert.Equal(isAnswered, new PageRequest(method, "/quitquitquit", "localhost", origin, site).Refusal() is null);

    [Fact]
    public async Task The_administration_says_why_it_does_not_answer()
    {
        var admin = SocketAddressV4.Parse("127.0.0.1", (uint)FreePort());
        await using var proxy = new ProxyHarness(admin: new Admin.AdminOptions { AdminAddress = admin });
        var hasQuit = false;
        proxy.Engine.OnQuit = () => hasQuit = true;
        using var client = new HttpClient { BaseAddress = new Uri($"http://{admin}") };
        async Task<(HttpStatusCode, string)> AskAsync(HttpMethod method, string path, string header, string value)
        {
            using var request = new HttpRequestMessage(method, path);
            request.Headers.TryAddWithoutValidation(header, value);
            using var answer = await client.SendAsync(request);
            return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
        }

        var posted = await AskAsync(HttpMethod.Post, "/quitquitquit", "Origin", "http://evil.example");
        var rebound = await AskAsync(HttpMethod.Get, "/config_dump", "Host", "evil.example");
        Assert.False(hasQuit);
        var meant = await AskAsync(HttpMethod.Post, "/quitquitquit", "Accept", "*/*");

        Assert.Equal((HttpStatusCode.Forbidden, HttpStatusCode.Forbidden, HttpStatusCode.OK), (posted.Item1, rebound.Item1, meant.Item1));
        Assert.Contains("a page in a browser may not change the proxy", posted.Item2);
        Assert.Contains("loopback names alone", rebound.Item2);
        Assert.True(hasQuit);
    }

    /// <summary>Probes and scrapers come under the pod's own address.</summary>
    [Fact]
    public void The_status_pages_answer_under_any_name()
    {
        using var log = TextWriter.Null;
        var engine = new ProxyEngine(new EngineOptions { Seed = 1 }, new Telemetry.StatsRegistry(1), TimeProvider.System, new Telemetry.ProxyLog(TimeProvider.System, log));

        Assert.Equal(200, AdminPages.Answer(engine, Pages.Status, new PageRequest("GET", "/ready", "10.0.0.7:15020")).Status);
        Assert.Equal(404, AdminPages.Answer(engine, Pages.Status, new PageRequest("GET", "/config_dump", "localhost")).Status);
    }

    /// <summary>Every page, over and over, on a thread of its own while the configuration changes and loops count.</summary>
    [Fact]
    public async Task Pages_are_built_on_another_thread_while_everything_changes()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        proxy.Clusters(("c0", [port]));
        proxy.Routes(To("c0"));
        var isDone = false;
        var built = 0;
        var reading = Task.Factory.StartNew(() =>
        {
            while (!Volatile.Read(ref isDone))
            {
                foreach (var page in new[] { "/metrics", "/stats", "/config_dump", "/clusters", "/clusters?format=json", "/listeners", "/certs", "/memory" })
                {
                    Assert.Equal(200, AdminPages.Answer(proxy.Engine, Pages.Admin, new PageRequest("GET", page, "localhost")).Status);
                    built++;
                }
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        for (var i = 0; i < 100 || Volatile.Read(ref built) < 100; i++)
        {
            proxy.Clusters(($"c{i % 50}", [port]));
            proxy.Routes(To($"c{i % 50}"));
            Assert.EndsWith("ok", await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\n\r\n", t => t.EndsWith("ok", StringComparison.Ordinal)));
            proxy.Store.Apply(Xds.XdsTypes.Cluster, [], [$"c{(i + 25) % 50}"]);
        }

        Volatile.Write(ref isDone, true);
        await reading;
    }

    [Fact]
    public async Task Metrics_tell_how_the_control_plane_is_followed()
    {
        await using var proxy = new ProxyHarness();
        string Metrics() => System.Text.Encoding.UTF8.GetString(AdminPages.Answer(proxy.Engine, Pages.Admin, new PageRequest("GET", "/metrics", "localhost")).Body);
        Assert.DoesNotContain("weir_proxy_control_plane", Metrics(), StringComparison.Ordinal);

        proxy.Engine.ControlPlane = new Xds.Client.AdsStatus();

        Assert.Contains("\nweir_proxy_control_plane_connected 0\n", Metrics(), StringComparison.Ordinal);
        Assert.Contains("\nweir_proxy_control_plane_refused_resources_total 0\n", Metrics(), StringComparison.Ordinal);
    }
}
