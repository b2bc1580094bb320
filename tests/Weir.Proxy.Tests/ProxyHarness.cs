using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Listener.V3;
using Envoy.Config.Route.V3;
using Envoy.Extensions.AccessLoggers.File.V3;
using Envoy.Extensions.Filters.Http.Router.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Extensions.Filters.Network.TcpProxy.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Admin;
using Weir.Proxy.Configuration;
using Weir.Proxy.Listeners;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using Weir.Xds.Client;

using AccessLog = Envoy.Config.AccessLog.V3.AccessLog;
using FilterChain = Envoy.Config.Listener.V3.FilterChain;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Tests;

/// <summary>A real engine on loopback, configured through xDS messages, with upstreams that the test scripts byte by byte.</summary>
sealed class ProxyHarness : IAsyncDisposable
{
    readonly ProxyEngine engine;
    readonly ConfigStore store;
    readonly List<TcpListener> listeners = [];
    readonly StringWriter log = new();
    readonly TextWriter writer;

    // Some tests block a thread while they wait; on few cores the scripts of others would starve meanwhile.
    static ProxyHarness() => ThreadPool.SetMinThreads(32, 32);

    /// <param name="inherited">Sockets of a predecessor.</param>
    public ProxyHarness(EngineOptions? options = null, Dictionary<Reactor.SocketAddressV4, List<int>>? inherited = null, AdminOptions? admin = null)
    {
        writer = TextWriter.Synchronized(log);
        Stats = new StatsRegistry(options?.Concurrency ?? 1);
        engine = Engine = new ProxyEngine(options ?? new EngineOptions { Seed = 1 }, Stats, TimeProvider.System, new ProxyLog(TimeProvider.System, writer));
        AdminListeners.Add(engine, admin ?? new AdminOptions());
        store = new ConfigStore(engine, new NodeIdentity("sidecar~127.0.0.1~test.default~x", "test", "default", "test", "v1"));
        engine.Start(inherited);
        Port = FreePort();
    }

    public ProxyEngine Engine { get; }

    public string LogText
    {
        get
        {
            // What it locks itself while it writes.
            lock (writer)
            {
                return log.ToString();
            }
        }
    }

    public StatsRegistry Stats { get; }

    public int Port { get; }

    public ConfigStore Store => store;

    public string? Clusters(params (string Name, int[] Ports)[] clusters) => Apply(XdsTypes.Cluster, [.. clusters.Select(c => (c.Name, (IMessage)BuildCluster(c.Name, c.Ports)))]);

    /// <returns>Why something was refused, or null.</returns>
    public string? Apply(string type, params (string Name, IMessage Message)[] resources)
    {
        var refused = store.Apply(type, [.. resources.Select(r => new ReceivedResource(r.Name, "1", r.Message.ToByteString()))], []);
        return refused.Count == 0 ? null : string.Join("; ", refused.Values);
    }

    /// <summary>One listener in the clear with these routes, under any host.</summary>
    public string? Routes(params Route[] routes) => Routes(_ => { }, routes);

    public string? Routes(Action<HttpConnectionManager> configure, params Route[] routes) => Listen(l => l.FilterChains.Add(Http(configure, routes)));

    /// <summary>The harness's listener, on its port.</summary>
    public string? Listen(Action<Listener> configure)
    {
        var listener = new Listener { Name = "test", Address = Socket(Port) };
        configure(listener);
        return Apply(XdsTypes.Listener, ("test", listener));
    }

    public static FilterChain Http(Action<HttpConnectionManager> configure, params Route[] routes)
    {
        var host = new VirtualHost { Name = "all" };
        host.Domains.Add("*");
        host.Routes.Add(routes);
        var table = new RouteConfiguration { Name = "routes" };
        table.VirtualHosts.Add(host);
        var manager = new HttpConnectionManager { RouteConfig = table };
        manager.HttpFilters.Add(new HttpFilter { Name = "router", TypedConfig = Pack(XdsTypes.Router, new Router()) });
        configure(manager);
        var chain = new FilterChain();
        chain.Filters.Add(new Filter { Name = "http", TypedConfig = Pack(XdsTypes.HttpConnectionManager, manager) });
        return chain;
    }

    public static FilterChain Tcp(string cluster, Action<TcpProxy>? configure = null)
    {
        var proxy = new TcpProxy { Cluster = cluster };
        configure?.Invoke(proxy);
        var chain = new FilterChain();
        chain.Filters.Add(new Filter { Name = "tcp", TypedConfig = Pack(XdsTypes.TcpProxy, proxy) });
        return chain;
    }

    /// <summary>An access log in a file.</summary>
    /// <param name="format">Null for the usual one.</param>
    public static AccessLog LogTo(string path, SubstitutionFormatString? format) =>
        new() { Name = "file", TypedConfig = Pack(XdsTypes.FileAccessLog, new FileAccessLog { Path = path, LogFormat = format }) };

    public static AccessLog LogTo(string path, string format) => LogTo(path, new SubstitutionFormatString { TextFormat = format });

    public static Any Pack(string type, IMessage message) => new() { TypeUrl = type, Value = message.ToByteString() };

    public static TransportSocket Downstream(DownstreamTlsContext context) => new() { Name = "tls", TypedConfig = Pack(XdsTypes.DownstreamTls, context) };

    public static TransportSocket Upstream(UpstreamTlsContext context) => new() { Name = "tls", TypedConfig = Pack(XdsTypes.UpstreamTls, context) };

    /// <summary>A cluster of these ports, changed as the test needs it.</summary>
    public string? Cluster(string name, int[] ports, Action<Cluster> configure)
    {
        var cluster = BuildCluster(name, ports);
        configure(cluster);
        return Apply(XdsTypes.Cluster, (name, cluster));
    }

    public static Route To(string cluster, TimeSpan? timeout = null) => new()
    {
        Match = new RouteMatch { Prefix = "/" },
        Route_ = new RouteAction { Cluster = cluster, Timeout = timeout is { } t ? Duration.FromTimeSpan(t) : null },
    };

    /// <summary>An upstream that gives each connection to the script.</summary>
    public int Upstream(Func<NetworkStream, Task> script)
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        listeners.Add(listener);
        _ = ServeAsync(listener, script);
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>An upstream that answers every request without a body with this.</summary>
    public int Answering(string response) => Upstream(async stream =>
    {
        while ((await ReadHeadAsync(stream)).Length > 0)
        {
            await WriteAsync(stream, response);
        }
    });

    /// <summary>An upstream that answers one request, and tells the head it came with.</summary>
    public (int Port, Task<string> Head) Recording(string response)
    {
        var head = new TaskCompletionSource<string>();
        var port = Upstream(async stream =>
        {
            head.SetResult(await ReadHeadAsync(stream));
            await WriteAsync(stream, response);
        });
        return (port, head.Task);
    }

    static async Task ServeAsync(TcpListener listener, Func<NetworkStream, Task> script)
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync();
                _ = Task.Run(async () =>
                {
                    using (client)
                    {
                        try
                        {
                            await script(client.GetStream());
                        }
                        catch (IOException)
                        {
                            // The proxy has let go of the connection.
                        }
                    }
                });
            }
        }
        catch (SocketException)
        {
            // The harness has been disposed of.
        }
    }

    public async Task<NetworkStream> ConnectAsync()
    {
        var client = new TcpClient { NoDelay = true, ReceiveTimeout = 10_000 };
        await client.ConnectAsync(IPAddress.Loopback, Port);
        return client.GetStream();
    }

    /// <summary>Sends all of it on a new connection and reads until the proxy closes it, or enough has come.</summary>
    public async Task<string> ExchangeAsync(string request, Func<string, bool>? isEnough = null)
    {
        await using var stream = await ConnectAsync();
        await WriteAsync(stream, request);
        return await ReadAsync(stream, isEnough ?? (_ => false));
    }

    public static async Task<string> ReadAsync(Stream stream, Func<string, bool> isEnough)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var text = new StringBuilder();
        var buffer = new byte[64 * 1024];
        int read;
        try
        {
            while (!isEnough(text.ToString()) && (read = await stream.ReadAsync(buffer, limit.Token)) > 0)
            {
                text.Append(Encoding.Latin1.GetString(buffer, 0, read));
            }
        }
        catch (IOException)
        {
            text.Append("<reset>");
        }

        return text.ToString();
    }

    public static async Task<string> ReadHeadAsync(Stream stream)
    {
        var text = new StringBuilder();
        var one = new byte[1];
        while (!text.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal) && await stream.ReadAsync(one) > 0)
        {
            text.Append((char)one[0]);
        }

        return text.ToString();
    }

    /// <summary>The content of a chunked body; its trailers are skipped.</summary>
    public static async Task<string> ReadChunksAsync(Stream stream)
    {
        var body = new StringBuilder();
        while (true)
        {
            var size = Convert.ToInt32((await ReadLineAsync(stream)).Split(';')[0], 16);
            if (size == 0)
            {
                while ((await ReadLineAsync(stream)).Length > 0)
                {
                }

                return body.ToString();
            }

            var bytes = new byte[size + 2];
            await stream.ReadExactlyAsync(bytes);
            body.Append(Encoding.Latin1.GetString(bytes, 0, size));
        }
    }

    static async Task<string> ReadLineAsync(Stream stream)
    {
        var text = new StringBuilder();
        var one = new byte[1];
        while (!text.ToString().EndsWith("\r\n", StringComparison.Ordinal))
        {
            await stream.ReadExactlyAsync(one);
            text.Append((char)one[0]);
        }

        return text.ToString()[..^2];
    }

    public static void AllowWebSockets(HttpConnectionManager manager) =>
        manager.UpgradeConfigs.Add(new HttpConnectionManager.Types.UpgradeConfig { UpgradeType = "websocket" });

    /// <summary>Agrees to become a WebSocket, and answers each message with itself.</summary>
    public static async Task EchoWebSocketAsync(NetworkStream stream, string head)
    {
        var key = head.Split("\r\n").Single(l => l.StartsWith("Sec-WebSocket-Key:", StringComparison.OrdinalIgnoreCase)).Split(' ')[1];
#pragma warning disable CA5350 // RFC 6455 section 4.2.2 asks for SHA-1; nothing is kept secret by it.
        var accept = Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
#pragma warning restore CA5350
        await WriteAsync(stream, $"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
        using var socket = WebSocket.CreateFromStream(stream, new WebSocketCreationOptions { IsServer = true });
        var buffer = new byte[100_000];
        while (true)
        {
            var message = await socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
            if (message.MessageType == WebSocketMessageType.Close)
            {
                await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
                return;
            }

            await socket.SendAsync(buffer.AsMemory(0, message.Count), message.MessageType, message.EndOfMessage, CancellationToken.None);
        }
    }

    public static Task WriteAsync(Stream stream, string text) => stream.WriteAsync(Encoding.Latin1.GetBytes(text)).AsTask();

    /// <summary>Managed bytes that the proxy's loop has allocated so far.</summary>
    public async Task<long> AllocatedByLoopAsync()
    {
        var result = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        engine.Post(0, () => result.SetResult(GC.GetAllocatedBytesForCurrentThread()));
        return await result.Task;
    }

    /// <summary>Requests counted under a code and a flag. The proxy counts after it has answered, so the last of those expected may take a moment.</summary>
    public long Count(int code, ResponseFlag flag, int expected = 1)
    {
        long Read() => Stats.All.SelectMany(s => s.All).Where(s => s.Code == code && s.Flag == flag).Sum(s => Volatile.Read(ref s.Count));
        SpinWait.SpinUntil(() => Read() >= expected, TimeSpan.FromSeconds(5));
        return Read();
    }

    public static Cluster BuildCluster(string name, int[] ports)
    {
        var endpoints = new LocalityLbEndpoints();
        endpoints.LbEndpoints.Add(ports.Select(p => new LbEndpoint { Endpoint = new Endpoint { Address = Socket(p) } }));
        var assignment = new ClusterLoadAssignment { ClusterName = name };
        assignment.Endpoints.Add(endpoints);
        return new Cluster { Name = name, Type = XdsCluster.Types.DiscoveryType.Static, LoadAssignment = assignment, LbPolicy = XdsCluster.Types.LbPolicy.RoundRobin };
    }

    public static Address Socket(int port) => new() { SocketAddress = new Envoy.Config.Core.V3.SocketAddress { Address = "127.0.0.1", PortValue = (uint)port } };

    static int lastPort = Environment.ProcessId * 97;

    /// <summary>
    /// One that no other test of this process is given, and that is not of the range from which connections and listeners on port 0 get
    /// theirs: proxies share ports, so two tests on one port would answer each other's clients.
    /// </summary>
    public static int FreePort()
    {
        const int First = 10_000;
        const int Count = 20_000;
        while (true)
        {
            var port = First + (int)((uint)Interlocked.Increment(ref lastPort) % Count);
            try
            {
                using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException)
            {
                // In use by something else on the machine.
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        listeners.ForEach(l => l.Stop());
        await engine.DrainAsync(TimeSpan.Zero, TimeProvider.System);
        Assert.DoesNotContain("internal error", LogText, StringComparison.Ordinal);
    }
}
