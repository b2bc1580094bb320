using System.Net;
using Envoy.Config.Listener.V3;
using Weir.Proxy.Lifecycle;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tests.Grpc;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>A proxy that is replaced while clients of HTTP/2 and gRPC are at work loses none of their requests.</summary>
public class Http2DrainTests
{
    /// <summary>Another proxy, which is given the sockets of the first.</summary>
    static async Task<ProxyHarness> SucceedAsync(ProxyHarness predecessor, int upstream)
    {
        var directory = Directory.CreateTempSubdirectory("weir-drain");
        var log = new ProxyLog(TimeProvider.System, TextWriter.Null);
        var path = Path.Combine(directory.FullName, "h.sock");
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var offering = Handover.OfferAsync(path, predecessor.Engine.ListeningSockets, () => { }, log, stop.Token);
        var taken = Handover.Take(path, log)!.Value;
        var successor = new ProxyHarness(inherited: taken.Sockets);
        Assert.Null(successor.Cluster("c", [upstream], Http2ProxyTests.SpeakHttp2));
        var listener = new Listener { Name = "test", Address = Socket(predecessor.Port) };
        listener.FilterChains.Add(ProxyHarness.Http(_ => { }, To("c", TimeSpan.Zero)));
        Assert.Null(successor.Apply(XdsTypes.Listener, ("test", listener)));
        taken.Confirm();
        await offering;
        directory.Delete(recursive: true);
        return successor;
    }

    /// <summary>Asks again and again until told to stop, on as many streams at once.</summary>
    static async Task<int> LoadAsync(int streams, Func<Task> ask, Task stop)
    {
        var counts = await Task.WhenAll(Enumerable.Range(0, streams).Select(async _ =>
        {
            var count = 0;
            for (; !stop.IsCompleted; count++)
            {
                await ask();
            }

            return count;
        }));
        return counts.Sum();
    }

    [Fact]
    public async Task Requests_and_calls_under_way_and_to_come_are_answered()
    {
        await using var server = await InteropServer.StartAsync();
        var first = new ProxyHarness();
        Assert.Null(first.Cluster("c", [server.Port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(first.Routes(To("c", TimeSpan.Zero)));
        using var invoker = GrpcCall.Client();
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        async Task CallAsync()
        {
            using var call = new GrpcCall(invoker, $"http://127.0.0.1:{first.Port}{InteropServer.Service}UnaryCall");
            var (answer, result) = await call.UnaryAsync(new InteropRequest([100], 50).ToSimple());
            Assert.Equal((0, 100), (result.Status, InteropRequest.PayloadIn(answer!)));
        }

        var load = LoadAsync(40, CallAsync, stop.Task);
        using var stream = new GrpcCall(invoker, $"http://127.0.0.1:{first.Port}{InteropServer.Service}FullDuplexCall");
        async Task ExchangeAsync()
        {
            await stream.WriteAsync(new InteropRequest([10], 10).ToStreaming());
            Assert.Equal(10, InteropRequest.PayloadIn((await stream.ReadAsync())!));
        }

        await ExchangeAsync();
        await using var second = await SucceedAsync(first, server.Port);
        var drained = first.Engine.DrainAsync(TimeSpan.FromSeconds(20), TimeProvider.System);
        for (var i = 0; i < 50; i++)
        {
            // What was open before goes on for as long as it takes.
            await ExchangeAsync();
        }

        stream.Complete();
        Assert.Equal(0, (await stream.FinishAsync()).Status);
        await drained;
        await CallAsync();
        stop.SetResult();
        Assert.True(await load > 100);
        Assert.Equal(0, first.Engine.Workers.ActiveConnections);
    }

    [Fact]
    public async Task A_listener_that_is_replaced_under_load_loses_nothing()
    {
        await using var upstream = new ProxyHarness();
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Clusters(("c", [upstream.Answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")])));
        Assert.Null(proxy.Routes(To("c")));
        using var client = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        async Task AskAsync() => Assert.Equal("ok", await client.GetStringAsync($"http://127.0.0.1:{proxy.Port}/"));
        var load = LoadAsync(40, AskAsync, stop.Task);

        for (var i = 1; i <= 20; i++)
        {
            // Other settings of HTTP: the filter chain is another.
            Assert.Null(proxy.Routes(h => h.StreamIdleTimeout = Google.Protobuf.WellKnownTypes.Duration.FromTimeSpan(TimeSpan.FromSeconds(100 + i)), To("c")));
            await AskAsync();
        }

        stop.SetResult();
        Assert.True(await load > 100);
    }
}
