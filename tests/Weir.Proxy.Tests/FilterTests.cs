using System.Text;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>What filters may do at their leisure, and what becomes of an exchange whose filter fails.</summary>
public class FilterTests
{
    /// <summary>Keeps every request waiting and gives its ticket out.</summary>
    sealed class Waiting : HttpFilter
    {
        public SemaphoreSlim Begun { get; } = new(0);

        public SemaphoreSlim Ended { get; } = new(0);

        public List<FilterTicket> Tickets { get; } = [];

        public override FilterHooks Hooks => FilterHooks.Request | FilterHooks.Outcome;

        public override FilterVerdict OnRequest(IFilteredExchange exchange)
        {
            Tickets.Add(exchange.Wait());
            Begun.Release();
            return FilterVerdict.Wait;
        }

        public override void OnOutcome(IFilteredExchange exchange) => Ended.Release();
    }

    sealed class Failing : HttpFilter
    {
        public override FilterHooks Hooks => FilterHooks.Request;

        public override FilterVerdict OnRequest(IFilteredExchange exchange) => throw new InvalidOperationException("on purpose");
    }

    static (ProxyEngine Engine, int Port, StringWriter Log) Start(HttpFilter filter)
    {
        var log = new StringWriter();
        var engine = new ProxyEngine(new EngineOptions { Seed = 1 }, new StatsRegistry(1), TimeProvider.System, new ProxyLog(TimeProvider.System, TextWriter.Synchronized(log)));
        var port = FreePort();
        engine.AddOwn("own", new SocketAddressV4(0x7f000001, (ushort)port), filter);
        engine.Start();
        return (engine, port, log);
    }

    static async Task<System.Net.Sockets.TcpClient> AskAsync(int port)
    {
        var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync("127.0.0.1", port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        return client;
    }

    /// <summary>The exchange of the first request serves the second by then.</summary>
    [Fact]
    public async Task A_ticket_of_a_request_that_is_over_does_nothing_to_the_next()
    {
        var filter = new Waiting();
        var (engine, port, _) = Start(filter);
        using (var first = await AskAsync(port))
        {
            Assert.True(await filter.Begun.WaitAsync(TimeSpan.FromSeconds(10)));
            first.LingerState = new System.Net.Sockets.LingerOption(true, 0);
        }

        Assert.True(await filter.Ended.WaitAsync(TimeSpan.FromSeconds(10)));
        using var second = await AskAsync(port);
        Assert.True(await filter.Begun.WaitAsync(TimeSpan.FromSeconds(10)));
        var (late, current) = (filter.Tickets[0], filter.Tickets[1]);
        Assert.Same(late.Exchange, current.Exchange);
        Assert.Equal((false, true), (late.IsGood, current.IsGood));

        engine.Post(engine.Concurrency, () =>
        {
            late.Reply(Cause.Overload);
            late.Continue();
            current.Reply(Cause.NoRoute);
            current.Reply(Cause.Overload);
        });

        Assert.StartsWith("HTTP/1.1 404", await ReadHeadAsync(second.GetStream()));
        await engine.DrainAsync(TimeSpan.Zero, TimeProvider.System);
    }

    [Fact]
    public async Task An_exchange_whose_filter_fails_ends_and_others_are_served()
    {
        var (engine, port, log) = Start(new Failing());
        for (var i = 0; i < 3; i++)
        {
            using var client = await AskAsync(port);
            await Assert.ThrowsAsync<IOException>(() => ReadHeadAsync(client.GetStream()));
        }

        await engine.DrainAsync(TimeSpan.Zero, TimeProvider.System);
        Assert.Equal(3, log.ToString().Split("on purpose").Length - 1);
    }
}
