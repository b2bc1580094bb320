using System.Net;
using System.Net.Sockets;
using Envoy.Config.Listener.V3;
using Weir.Proxy.Configuration;
using Weir.Proxy.Lifecycle;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public sealed class HandoverTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    readonly string directory = Directory.CreateTempSubdirectory("weir-handover").FullName;
    readonly ProxyLog log = new(TimeProvider.System, TextWriter.Null);

    string Path => System.IO.Path.Combine(directory, "h.sock");

    public void Dispose() => Directory.Delete(directory, recursive: true);

    static Listener On(string name, params int[] ports)
    {
        var listener = new Listener { Name = name, Address = ProxyHarness.Socket(ports[0]) };
        listener.AdditionalAddresses.Add(ports.Skip(1).Select(p => new AdditionalAddress { Address = ProxyHarness.Socket(p) }));
        listener.FilterChains.Add(ProxyHarness.Http(_ => { }, To("c")));
        return listener;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(200)]
    [InlineData(253)]
    [InlineData(254)]
    [InlineData(1500)]
    public async Task Any_number_of_sockets_is_handed_over(int count)
    {
        using var listening = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listening.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listening.Listen();
        var port = ((IPEndPoint)listening.LocalEndPoint!).Port;
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var offering = Handover.OfferAsync(
            Path, () => [.. Enumerable.Range(1, count).Select(i => (SocketAddressV4.Parse("127.0.0.1", (uint)(10_000 + (i / 2))), (int)listening.Handle))], () => { }, log, stop.Token);

        var taken = Handover.Take(Path, log)!.Value;

        Assert.Equal(count, taken.Sockets.Values.Sum(d => d.Count));
        Assert.All(taken.Sockets.Values.SelectMany(d => d), d => Assert.Equal(port, SocketAddressV4.OfSocket(d).Port));
        foreach (var descriptor in taken.Sockets.Values.SelectMany(d => d))
        {
            _ = Native.Close(descriptor);
        }

        taken.Confirm();
        await offering;
    }

    [Fact]
    public async Task Many_handovers_in_a_row_leave_a_working_socket()
    {
        using var listening = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listening.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listening.Listen();
        List<(SocketAddressV4, int)> Sockets() => [(SocketAddressV4.Parse("127.0.0.1", 1), (int)listening.Handle)];
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var offers = new List<Task> { Handover.OfferAsync(Path, Sockets, () => { }, log, stop.Token) };
        for (var i = 0; i < 50; i++)
        {
            var (sockets, confirm) = Handover.Take(Path, log)!.Value;
            _ = Native.Close(sockets.Values.Single().Single());
            confirm();

            // The successor offers at once; its predecessor ends when it will.
            var next = Handover.OfferAsync(Path, Sockets, () => { }, log, stop.Token);
            await offers[^1];
            Assert.True(File.Exists(Path), $"gone after handover {i}");
            offers.Add(next);
        }

        Assert.Equal(["h.sock"], Directory.GetFileSystemEntries(directory).Select(f => System.IO.Path.GetFileName(f)));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path));
        var last = Handover.Take(Path, log)!.Value;
        Assert.Single(last.Sockets);
        last.Confirm();
        await offers[^1];
    }

    [Fact]
    public async Task A_successor_that_dies_before_it_confirms_takes_nothing_with_it()
    {
        var replaced = false;
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var offering = Handover.OfferAsync(Path, () => [], () => replaced = true, log, stop.Token);
        using (var dying = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dying.Connect(new UnixDomainSocketEndPoint(Path));
        }

        var next = Handover.Take(Path, log)!.Value;
        Assert.False(replaced);
        next.Confirm();
        await offering;
        Assert.True(replaced);
    }

    [Fact]
    public async Task What_speaks_something_else_is_no_predecessor()
    {
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(Path));
        other.Listen();
        var answering = Task.Run(async () =>
        {
            using (var client = await other.AcceptAsync())
            {
                await client.SendAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());
            }

            other.Dispose();
        });

        Assert.Null(Handover.Take(Path, log));
        await answering;
    }

    (ProxyEngine Engine, ConfigStore Store) Successor(Dictionary<SocketAddressV4, List<int>> sockets)
    {
        var engine = new ProxyEngine(new EngineOptions { Seed = 2 }, new StatsRegistry(1), TimeProvider.System, log);
        var store = new ConfigStore(engine, new NodeIdentity("sidecar~127.0.0.1~test.default~x", "test", "default", "test", "v1"));
        engine.Start(sockets);
        return (engine, store);
    }

    [Fact]
    public async Task A_port_that_cannot_be_bound_closes_no_inherited_socket_and_keeps_the_predecessor_serving()
    {
        await using var first = new ProxyHarness();
        var upstream = first.Answering(Ok);
        first.Clusters(("c", [upstream]));
        var (good, half) = (FreePort(), FreePort());
        Assert.Null(first.Apply(XdsTypes.Listener, ("good", On("good", good)), ("half", On("half", half))));
        using var busy = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        busy.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        busy.Listen();
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var offering = Handover.OfferAsync(Path, first.Engine.ListeningSockets, () => { }, log, stop.Token);
        var taken = Handover.Take(Path, log)!.Value;
        Assert.Equal(2, taken.Sockets.Count);

        var (successor, store) = Successor(taken.Sockets);
        IReadOnlyDictionary<string, string> Give(params (string Name, Google.Protobuf.IMessage Message)[] listeners) => store.Apply(
            XdsTypes.Listener, [.. listeners.Select(l => new Xds.Client.ReceivedResource(l.Name, "1", Google.Protobuf.MessageExtensions.ToByteString(l.Message)))], []);
        store.Apply(XdsTypes.Cluster, [first.Store.InForce.Single(h => h.Type == XdsTypes.Cluster).Resource], []);
        var refused = Give(("good", On("good", good)), ("half", On("half", half, ((IPEndPoint)busy.LocalEndPoint!).Port)));

        Assert.Equal(["half"], refused.Keys);
        Assert.False(successor.ServesInherited);
        await first.Engine.BeginDrain();
        Assert.EndsWith("ok", await AskAsync(good));

        // Its queue still has an owner, and once the listener can be served it is, with those who waited.
        var waiting = AskAsync(half);
        busy.Dispose();
        Assert.Empty(Give(("half", On("half", half))));
        Assert.True(successor.ServesInherited);
        Assert.EndsWith("ok", await waiting);
        taken.Confirm();
        await offering;
        await successor.DrainAsync(TimeSpan.Zero, TimeProvider.System);
    }

    /// <summary>What the control plane takes back does not keep the predecessor for ever.</summary>
    [Fact]
    public async Task A_refused_listener_that_is_removed_is_not_waited_for()
    {
        await using var first = new ProxyHarness();
        first.Clusters(("c", [first.Answering(Ok)]));
        var half = FreePort();
        Assert.Null(first.Apply(XdsTypes.Listener, ("half", On("half", half))));
        using var busy = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        busy.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        busy.Listen();
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var offering = Handover.OfferAsync(Path, first.Engine.ListeningSockets, () => { }, log, stop.Token);
        var taken = Handover.Take(Path, log)!.Value;
        var (successor, store) = Successor(taken.Sockets);
        store.Apply(XdsTypes.Cluster, [first.Store.InForce.Single(h => h.Type == XdsTypes.Cluster).Resource], []);
        Xds.Client.ReceivedResource[] listeners =
            [new("half", "1", Google.Protobuf.MessageExtensions.ToByteString(On("half", half, ((IPEndPoint)busy.LocalEndPoint!).Port)))];

        Assert.Equal(["half"], store.Apply(XdsTypes.Listener, listeners, []).Keys);
        Assert.False(successor.ServesInherited);
        Assert.Empty(store.Apply(XdsTypes.Listener, [], ["half"]));
        Assert.True(successor.ServesInherited);

        successor.CloseInherited();
        taken.Confirm();
        await offering;
        await successor.DrainAsync(TimeSpan.Zero, TimeProvider.System);
    }

    [Fact]
    public async Task Two_hundred_listeners_survive_a_handover_under_load()
    {
        const int count = 200;
        await using var first = new ProxyHarness();
        first.Clusters(("c", [first.Answering(Ok)]));
        var ports = Enumerable.Range(0, count).Select(_ => FreePort()).Distinct().ToList();
        Assert.Null(first.Apply(XdsTypes.Listener, [.. ports.Select(p => ($"l{p}", (Google.Protobuf.IMessage)On($"l{p}", p)))]));
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var isReplaced = new TaskCompletionSource();
        var offering = Handover.OfferAsync(Path, first.Engine.ListeningSockets, isReplaced.SetResult, log, stop.Token);
        var failures = new System.Collections.Concurrent.ConcurrentBag<string>();
        long served = 0;
        var isDone = false;
        var asking = Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            for (var i = worker; !Volatile.Read(ref isDone); i++)
            {
                var answer = await AskAsync(ports[i % ports.Count]);
                Interlocked.Increment(ref served);
                if (!answer.EndsWith("ok", StringComparison.Ordinal))
                {
                    failures.Add(answer);
                }
            }
        })).ToList();

        var taken = Handover.Take(Path, log)!.Value;
        var (successor, store) = Successor(taken.Sockets);
        foreach (var group in first.Store.InForce.GroupBy(h => h.Type))
        {
            Assert.Empty(store.Apply(group.Key, [.. group.Select(h => h.Resource)], []));
        }

        Assert.True(successor.ServesInherited);
        taken.Confirm();
        await isReplaced.Task.WaitAsync(TimeSpan.FromSeconds(10));
        await first.Engine.BeginDrain();
        var before = Interlocked.Read(ref served);
        Assert.True(SpinWait.SpinUntil(() => Interlocked.Read(ref served) > before + count || !failures.IsEmpty, TimeSpan.FromSeconds(30)));
        Volatile.Write(ref isDone, true);
        await Task.WhenAll(asking);
        await offering;

        Assert.Empty(failures);
        Assert.Equal(ports.Count, successor.ListeningSockets().Count);
        await successor.DrainAsync(TimeSpan.Zero, TimeProvider.System);
    }

    static async Task<string> AskAsync(int port)
    {
        try
        {
            using var client = new TcpClient { NoDelay = true };
            await client.ConnectAsync(IPAddress.Loopback, port);
            await WriteAsync(client.GetStream(), Get);
            return await ReadAsync(client.GetStream(), t => t.EndsWith("ok", StringComparison.Ordinal));
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return e.Message;
        }
    }
}
