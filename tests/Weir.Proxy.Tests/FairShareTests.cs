using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Weir.Proxy.Reactor;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class FairShareTests
{
    [Fact]
    public async Task After_so_many_operations_in_one_turn_the_others_come_first()
    {
        using var loop = new EventLoop(0, TimeProvider.System);
        var order = new List<string>();
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        async void Busy()
        {
            var share = new FairShare(loop);
            for (var i = 0; i < FairShare.Most + 1; i++)
            {
                await share.TakeAsync();
                order.Add("busy");
            }

            done.SetResult();
        }

        // Both are there before the loop starts, so they run in the same turn.
        loop.Post(Busy);
        loop.Post(() => order.Add("other"));
        loop.Start();
        await done.Task.WaitAsync(TimeSpan.FromSeconds(10));
        loop.Stop();
        loop.Join();

        Assert.Equal([.. Enumerable.Repeat("busy", FairShare.Most), "other", "busy"], order);
    }

    [Fact]
    public async Task A_long_pipeline_is_answered_whole_and_in_order()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]));
        proxy.Routes(new Route { Match = new RouteMatch { Path = "/direct" }, DirectResponse = new DirectResponseAction { Status = 204, Body = new DataSource() } }, To("c"));
        var requests = Enumerable.Range(0, 2000).Select(i => i % 100 == 0 ? "/" : "/direct").ToList();

        var answers = await proxy.ExchangeAsync(
            string.Concat(requests.Select(r => $"GET {r} HTTP/1.1\r\nHost: a\r\n\r\n")) + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

        Assert.Equal(requests.Append("/").Select(r => r == "/" ? "200" : "204"), answers.Split("HTTP/1.1 ").Skip(1).Select(a => a[..3]));
    }
}
