using System.Text;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Http2;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tests.Http2;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>What becomes of others after one request has ended in a defect.</summary>
public class DefectTests
{
    /// <summary>Fails the first request; keeps each one after it waiting.</summary>
    sealed class FailsFirst : HttpFilter
    {
        int count;

        public SemaphoreSlim Begun { get; } = new(0);

        public List<FilterTicket> Tickets { get; } = [];

        public override FilterHooks Hooks => FilterHooks.Request;

        public override FilterVerdict OnRequest(IFilteredExchange exchange)
        {
            if (count++ == 0)
            {
                throw new InvalidOperationException("on purpose");
            }

            Tickets.Add(exchange.Wait());
            Begun.Release();
            return FilterVerdict.Wait;
        }
    }

    sealed class FailsAtTheEnd : HttpFilter
    {
        public int Outcomes;

        public override FilterHooks Hooks => FilterHooks.Request | FilterHooks.Outcome;

        public override FilterVerdict OnRequest(IFilteredExchange exchange)
        {
            exchange.Reply(Cause.NoRoute);
            return FilterVerdict.Reply;
        }

        public override void OnOutcome(IFilteredExchange exchange)
        {
            Interlocked.Increment(ref Outcomes);
            throw new InvalidOperationException("on purpose");
        }
    }

    static (ProxyEngine Engine, int Port) Start(HttpFilter filter)
    {
        var engine = new ProxyEngine(new EngineOptions { Seed = 1 }, new StatsRegistry(1), TimeProvider.System, new ProxyLog(TimeProvider.System, TextWriter.Null));
        var port = FreePort();
        engine.AddOwn("own", new SocketAddressV4(0x7f000001, (ushort)port), filter);
        engine.Start();
        return (engine, port);
    }

    static async Task<System.Net.Sockets.TcpClient> ConnectAsync(int port)
    {
        var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync("127.0.0.1", port);
        return client;
    }

    static async Task<System.Net.Sockets.TcpClient> AskAsync(int port)
    {
        var client = await ConnectAsync(port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        return client;
    }

    static async Task<string> StatusAsync(System.Net.Sockets.TcpClient client)
    {
        try
        {
            var head = await ReadHeadAsync(client.GetStream()).WaitAsync(TimeSpan.FromSeconds(3));
            return head.Split("\r\n")[0];
        }
        catch (Exception e) when (e is TimeoutException or IOException)
        {
            return e.GetType().Name;
        }
    }

    [Fact]
    public async Task After_a_defect_two_clients_do_not_share_a_stream()
    {
        var filter = new FailsFirst();
        var (engine, port) = Start(filter);
        using (var failed = await AskAsync(port))
        {
            Assert.Equal(nameof(IOException), await StatusAsync(failed));
        }

        using var first = await AskAsync(port);
        Assert.True(await filter.Begun.WaitAsync(TimeSpan.FromSeconds(10)));
        using var second = await AskAsync(port);
        Assert.True(await filter.Begun.WaitAsync(TimeSpan.FromSeconds(10)));
        engine.Post(engine.Concurrency, () =>
        {
            filter.Tickets[0].Reply(Cause.NoRoute);
            filter.Tickets[1].Reply(Cause.Overload);
        });

        var answers = new[] { await StatusAsync(first), await StatusAsync(second) };
        await engine.DrainAsync(TimeSpan.Zero, TimeProvider.System);
        Assert.Equal(["HTTP/1.1 404 Not Found", "HTTP/1.1 503 Service Unavailable"], answers);
    }

    [Fact]
    public async Task The_outcome_of_a_request_is_told_once()
    {
        var filter = new FailsAtTheEnd();
        var (engine, port) = Start(filter);
        using var client = await AskAsync(port);
        await StatusAsync(client);
        await engine.DrainAsync(TimeSpan.Zero, TimeProvider.System);
        Assert.Equal(1, filter.Outcomes);
    }

    [Fact]
    public async Task After_a_defect_a_connection_of_HTTP2_is_closed()
    {
        var filter = new FailsAtTheEnd();
        var (engine, port) = Start(filter);
        using var client = await ConnectAsync(port);
        var peer = new RawPeer(client.GetStream());
        await peer.SendAsync(RawPeer.Preface, RawPeer.Settings(), RawPeer.Get(1), RawPeer.Get(3));
        var isClosed = true;
        try
        {
            while (await peer.ReadAsync(3) is not null)
            {
            }
        }
        catch (OperationCanceledException)
        {
            isClosed = false;
        }

        await engine.DrainAsync(TimeSpan.Zero, TimeProvider.System);
        Assert.True(isClosed, "nothing has come of the connection for 3 s, and it is open");
    }

    /// <summary>Fails with an endpoint's answer, which others wait for on the same connection.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_request_that_ends_in_a_defect_is_in_the_log(bool isHttp2)
    {
        var path = Path.GetTempFileName();
        var engine = new ProxyEngine(new EngineOptions { Seed = 1 }, new StatsRegistry(1), TimeProvider.System, new ProxyLog(TimeProvider.System, TextWriter.Null));
        var port = FreePort();
        var log = new AccessLog(AccessLogFormat.Text("%REQ(:PATH)% %RESPONSE_CODE_DETAILS%\n"), new LogFiles(1, new ProxyLog(TimeProvider.System, TextWriter.Null)).Open(path), 1);
        var chain = new FilterChain("test", "test", 0, FilterChainMatch.Any, null, 0, new Exchanges.HttpOptions
        {
            Filters = new FilterPlan([new FailsFirst()]),
            AccessLogs = [log],
            MaximumHeadBytes = 16 * 1024,
            StreamIdleMilliseconds = 60_000,
        }, null, true);
        engine.Start();
        Assert.Null(engine.Publish(System.Collections.Frozen.FrozenDictionary.ToFrozenDictionary(
            [new KeyValuePair<string, ListenerConfiguration>("test", new ListenerConfiguration("test", [new SocketAddressV4(0x7f000001, (ushort)port)], new FilterChainTable([chain], null)))])));
        using var client = await ConnectAsync(port);
        if (isHttp2)
        {
            var peer = new RawPeer(client.GetStream());
            await peer.SendAsync(RawPeer.Preface, RawPeer.Settings(), RawPeer.Get(1, "/lost"));
            while (await peer.ReadAsync(3) is not null)
            {
            }
        }
        else
        {
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes("GET /lost HTTP/1.1\r\nHost: a\r\n\r\n"));
            await StatusAsync(client);
        }

        SpinWait.SpinUntil(() => File.ReadAllText(path).Length > 0, TimeSpan.FromSeconds(3));
        await engine.DrainAsync(TimeSpan.Zero, TimeProvider.System);
        Assert.StartsWith("/lost ", File.ReadAllText(path), StringComparison.Ordinal);
    }
}
