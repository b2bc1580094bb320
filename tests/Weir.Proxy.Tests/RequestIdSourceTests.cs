using System.Text;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Listeners;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Tests;

public class RequestIdSourceTests
{
    static string Next(RequestIdSource source)
    {
        var target = new byte[36];
        source.Next(target);
        return Encoding.ASCII.GetString(target);
    }

    static ProxyEngine Engine(EngineOptions options) => new(options, new StatsRegistry(options.Concurrency), TimeProvider.System, new ProxyLog(TimeProvider.System, TextWriter.Null));

    [Fact]
    public void Proxies_with_the_same_process_id_give_different_ids()
    {
        var options = new EngineOptions { Seed = 1, Concurrency = 2 };

        var ids = new[] { Engine(options), Engine(options) }.SelectMany(e => Enumerable.Range(0, 2).Select(i => Next(e.CreateRequestIds(i)))).ToList();

        Assert.Equal(4, ids.Distinct().Count());
        Assert.All(ids, id => Assert.Matches("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", id));
    }

    [Fact]
    public void A_given_seed_gives_the_same_ids_again_and_others_on_each_loop()
    {
        var options = new EngineOptions { RequestIdSeed = 7, Concurrency = 2 };

        Assert.Equal(Next(Engine(options).CreateRequestIds(0)), Next(Engine(options).CreateRequestIds(0)));
        Assert.NotEqual(Next(Engine(options).CreateRequestIds(0)), Next(Engine(options).CreateRequestIds(1)));
    }
}
