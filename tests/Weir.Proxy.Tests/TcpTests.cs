using System.Net.Sockets;
using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Config.Listener.V3;
using Envoy.Extensions.Filters.Listener.ProxyProtocol.V3;
using Envoy.Extensions.TransportSockets.ProxyProtocol.V3;
using Envoy.Type.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class TcpTests
{
    /// <summary>Answers each line with itself, and says goodbye when the client is done.</summary>
    static async Task EchoAsync(NetworkStream stream)
    {
        var buffer = new byte[65536];
        int read;
        while ((read = await stream.ReadAsync(buffer)) > 0)
        {
            await stream.WriteAsync(buffer.AsMemory(0, read));
        }

        await WriteAsync(stream, "bye");
    }

    static ListenerFilter Filter(string type, IMessage? message = null) => new()
    {
        Name = type,
        TypedConfig = new Any { TypeUrl = type, Value = message?.ToByteString() ?? ByteString.Empty },
    };

    [Fact]
    public async Task Passes_bytes_both_ways_and_the_end_of_each_direction_by_itself()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Upstream(EchoAsync)]));
        Assert.Null(proxy.Listen(l => l.FilterChains.Add(Tcp("c"))));

        await using var stream = await proxy.ConnectAsync();
        await WriteAsync(stream, "hello");
        Assert.Equal("hello", await ReadAsync(stream, t => t.Length >= 5));
        stream.Socket.Shutdown(SocketShutdown.Send);

        Assert.Equal("bye", await ReadAsync(stream, _ => false));
    }

    [Fact]
    public async Task A_slow_reader_slows_the_writer_and_loses_nothing()
    {
        await using var proxy = new ProxyHarness();
        const int Size = 20_000_000;
        var stalled = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            var chunk = new byte[100_000];
            for (var i = 0; i < Size / chunk.Length; i++)
            {
                var writing = s.WriteAsync(chunk).AsTask();
                try
                {
                    await writing.WaitAsync(TimeSpan.FromMilliseconds(300));
                }
                catch (TimeoutException)
                {
                    stalled.TrySetResult(i);
                    await writing;
                }
            }
        })]));
        proxy.Listen(l => l.FilterChains.Add(Tcp("c")));

        await using var stream = await proxy.ConnectAsync();
        await stalled.Task.WaitAsync(TimeSpan.FromSeconds(10));

        var buffer = new byte[1 << 20];
        long received = 0;
        int read;
        while ((read = await stream.ReadAsync(buffer)) > 0)
        {
            received += read;
        }

        Assert.Equal(Size, received);
    }

    [Fact]
    public async Task Ends_sessions_that_are_idle_or_last_too_long()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Upstream(EchoAsync)]));
        proxy.Listen(l => l.FilterChains.Add(Tcp("c", t => t.IdleTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(200)))));
        await using var idle = await proxy.ConnectAsync();
        await WriteAsync(idle, "x");
        Assert.StartsWith("x", await ReadAsync(idle, _ => false));

        proxy.Listen(l => l.FilterChains.Add(Tcp("c", t => t.MaxDownstreamConnectionDuration = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(300)))));
        await using var busy = await proxy.ConnectAsync();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        try
        {
            while (watch.Elapsed < TimeSpan.FromSeconds(10) && await busy.ReadAtLeastAsync(new byte[1], 1, false) is var n)
            {
                await WriteAsync(busy, "x");
                if (n == 0)
                {
                    break;
                }
            }
        }
        catch (IOException)
        {
            // Ended while writing.
        }

        Assert.InRange(watch.ElapsedMilliseconds, 0, 5000);
    }

    [Theory]
    [InlineData("PROXY TCP4 10.1.2.3 10.9.9.9 5555 80\r\n")]
    [InlineData("v2")]
    public async Task Reads_the_proxy_protocol_and_tells_upstreams_who_the_client_is(string header)
    {
        await using var proxy = new ProxyHarness();
        var seen = new TaskCompletionSource<string>();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            seen.TrySetResult(await ReadHeadAsync(s));
            await WriteAsync(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        })]));
        Assert.Null(proxy.Listen(l =>
        {
            l.ListenerFilters.Add(Filter(XdsTypes.ProxyProtocol, new ProxyProtocol()));
            l.FilterChains.Add(ProxyHarness.Http(h => h.UseRemoteAddress = true, To("c")));
        }));

        await using var stream = await proxy.ConnectAsync();
        var bytes = header == "v2" ? Version2() : Encoding.ASCII.GetBytes(header);

        // Byte by byte, as the worst network would.
        foreach (var b in bytes)
        {
            await stream.WriteAsync(new[] { b });
        }

        await WriteAsync(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        Assert.EndsWith("ok", await ReadAsync(stream, t => t.EndsWith("ok", StringComparison.Ordinal)));

        Assert.Contains("x-forwarded-for: 10.1.2.3\r\n", await seen.Task);
    }

    /// <summary>A client may have sent all before its connection is accepted; the loop hears of that only afterwards.</summary>
    [Fact]
    public void What_was_seen_of_a_connection_can_be_read_at_once()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        using var client = new System.Net.Sockets.TcpClient();
        client.Connect((System.Net.IPEndPoint)listener.LocalEndpoint);
        client.Client.Send("hello"u8);
        using var accepted = listener.AcceptSocket();
        accepted.Poll(TimeSpan.FromSeconds(5), System.Net.Sockets.SelectMode.SelectRead);
        accepted.Blocking = false;
        using var loop = new Weir.Proxy.Reactor.EventLoop(0, TimeProvider.System);
        var socket = Weir.Proxy.Reactor.TcpSocket.Accepted(loop, Weir.Proxy.Reactor.Native.Duplicate((int)accepted.Handle))!;
        Span<byte> bytes = stackalloc byte[5];

        Assert.Equal(5, socket.Peek(bytes));
        Assert.Equal(5, socket.Receive(bytes));
        socket.Close();
    }

    static byte[] Version2()
    {
        var bytes = new byte[64];
        var length = Weir.Proxy.Inspection.ProxyProtocolHeader.Write(
            bytes, 2, Weir.Proxy.Reactor.SocketAddressV4.Parse("10.1.2.3", 5555), Weir.Proxy.Reactor.SocketAddressV4.Parse("10.9.9.9", 80));
        return bytes[..length];
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("PROXY NONSENSE\r\n")]
    [InlineData("PROXY TCP4 10.1.2.3 10.9.9.9 5555 99999\r\n")]
    [InlineData("PROXY TCP4 010.1.2.3 10.9.9.9 5555 80\r\n")]
    [InlineData("PROXY TCP4 10.1.2.3 10.9.9.09 5555 80\r\n")]
    [InlineData("PROXY TCP4 10.1.2.3 10.9.9.9 05555 80\r\n")]
    [InlineData("PROXY TCP4 10.1.2.3 10.9.9.9 5555 +80\r\n")]
    [InlineData("PROXY TCP4 0xA.1.2.3 10.9.9.9 5555 80\r\n")]
    [InlineData("PROXY TCP4 10.1.515 10.9.9.9 5555 80\r\n")]
    [InlineData("PROXY TCP4 10.1.2.3 10.9.9.256 5555 80\r\n")]
    [InlineData("PROXY TCP4 10.1.2.3  10.9.9.9 5555 80\r\n")]
    [InlineData("PROXY TCP6 nonsense ::1 5555 80\r\n")]
    [InlineData("PROXY TCP6 ::1 ::2 05555 80\r\n")]
    public async Task Without_a_valid_proxy_protocol_header_the_connection_is_let_go(string start)
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]));
        proxy.Listen(l =>
        {
            l.ListenerFilters.Add(Filter(XdsTypes.ProxyProtocol, new ProxyProtocol()));
            l.FilterChains.Add(ProxyHarness.Http(_ => { }, To("c")));
        });

        Assert.DoesNotContain("HTTP", await proxy.ExchangeAsync(start));
    }

    [Theory]
    [InlineData(ProxyProtocolConfig.Types.Version.V1)]
    [InlineData(ProxyProtocolConfig.Types.Version.V2)]
    public async Task Writes_the_proxy_protocol_to_upstreams(ProxyProtocolConfig.Types.Version version)
    {
        await using var proxy = new ProxyHarness();
        var seen = new TaskCompletionSource<byte[]>();
        proxy.Cluster("c", [proxy.Upstream(async s =>
        {
            var buffer = new byte[200];
            var total = 0;
            while (!Encoding.Latin1.GetString(buffer, 0, total).EndsWith("hello", StringComparison.Ordinal))
            {
                total += await s.ReadAsync(buffer.AsMemory(total));
            }

            seen.SetResult(buffer[..total]);
        })], c => c.TransportSocket = new TransportSocket
        {
            Name = "p",
            TypedConfig = Pack(XdsTypes.UpstreamProxyProtocol, new ProxyProtocolUpstreamTransport { Config = new ProxyProtocolConfig { Version = version } }),
        });
        proxy.Listen(l => l.FilterChains.Add(Tcp("c")));

        await using var stream = await proxy.ConnectAsync();
        var client = (System.Net.IPEndPoint)stream.Socket.LocalEndPoint!;
        await WriteAsync(stream, "hello");
        var bytes = await seen.Task;

        Assert.Equal(Weir.Proxy.Inspection.Verdict.Yes, Weir.Proxy.Inspection.ProxyProtocolHeader.TryParse(bytes, out var header, out var isBroken));
        Assert.False(isBroken);
        Assert.Equal($"127.0.0.1:{client.Port}", header.Source.ToString());
        Assert.Equal($"127.0.0.1:{proxy.Port}", header.Destination.ToString());
        Assert.Equal("hello", Encoding.ASCII.GetString(bytes[header.Length..]));
    }

    [Fact]
    public async Task A_connection_that_names_its_client_to_the_upstream_serves_no_other()
    {
        await using var proxy = new ProxyHarness();
        proxy.Cluster("c", [proxy.Upstream(async s =>
        {
            var named = "";
            while (await ReadHeadAsync(s) is { Length: > 0 } head)
            {
                named = head.StartsWith("PROXY", StringComparison.Ordinal) ? head.Split("\r\n")[0].Split(' ')[4] : named;
                await WriteAsync(s, $"HTTP/1.1 200 OK\r\nContent-Length: {named.Length}\r\n\r\n{named}");
            }
        })], c => c.TransportSocket = new TransportSocket
        {
            Name = "p",
            TypedConfig = Pack(XdsTypes.UpstreamProxyProtocol, new ProxyProtocolUpstreamTransport { Config = new ProxyProtocolConfig { Version = ProxyProtocolConfig.Types.Version.V1 } }),
        });
        Assert.Null(proxy.Routes(To("c")));

        for (var i = 0; i < 3; i++)
        {
            await using var stream = await proxy.ConnectAsync();
            var port = ((System.Net.IPEndPoint)stream.Socket.LocalEndPoint!).Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
            await WriteAsync(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            Assert.EndsWith($"\r\n\r\n{port}", await ReadAsync(stream, t => t.EndsWith(port, StringComparison.Ordinal)));
        }

        Assert.Contains("PROXY protocol", proxy.Cluster("d", [1], c =>
        {
            Http2.Http2ProxyTests.SpeakHttp2(c);
            c.TransportSocket = new TransportSocket
            {
                Name = "p",
                TypedConfig = Pack(XdsTypes.UpstreamProxyProtocol, new ProxyProtocolUpstreamTransport { Config = new ProxyProtocolConfig() }),
            };
        }));
    }

    [Fact]
    public async Task Finds_out_what_a_client_speaks_and_waits_for_servers_that_speak_first()
    {
        await using var proxy = new ProxyHarness();
        using var certificates = new TestCertificates();
        proxy.Clusters(
            ("http", [proxy.Answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp")]),
            ("tcp", [proxy.Upstream(async s =>
            {
                await WriteAsync(s, "220 ready\r\n");
                await EchoAsync(s);
            })]));
        Assert.Null(proxy.Listen(l =>
        {
            l.ListenerFilters.Add([Filter(XdsTypes.TlsInspector), Filter(XdsTypes.HttpInspector)]);
            l.ListenerFiltersTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(300));
            l.ContinueOnListenerFiltersTimeout = true;
            var plain = ProxyHarness.Http(_ => { }, To("http"));
            plain.FilterChainMatch = new FilterChainMatch { TransportProtocol = "raw_buffer" };
            plain.FilterChainMatch.ApplicationProtocols.Add("http/1.1");
            var secure = ProxyHarness.Http(_ => { }, To("http"));
            secure.FilterChainMatch = new FilterChainMatch { TransportProtocol = "tls" };
            var context = new Envoy.Extensions.TransportSockets.Tls.V3.DownstreamTlsContext { CommonTlsContext = new() };
            context.CommonTlsContext.TlsCertificates.Add(TestCertificates.ToXds(certificates.Issue("a.example")));
            secure.TransportSocket = Downstream(context);
            l.FilterChains.Add([plain, secure, Tcp("tcp")]);
        }));

        Assert.EndsWith("http", await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\n\r\n", t => t.EndsWith("http", StringComparison.Ordinal)));
        Assert.EndsWith("http", await proxy.ExchangeAsync("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", t => t.EndsWith("http", StringComparison.Ordinal)));
        await using (var tls = new System.Net.Security.SslStream(await proxy.ConnectAsync()))
        {
            await tls.AuthenticateAsClientAsync(new System.Net.Security.SslClientAuthenticationOptions { TargetHost = "a.example", RemoteCertificateValidationCallback = certificates.Accepts });
            await WriteAsync(tls, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            Assert.EndsWith("http", await ReadAsync(tls, t => t.EndsWith("http", StringComparison.Ordinal)));
        }

        Assert.Equal("220 ready\r\nEHLO x\r\n", await proxy.ExchangeAsync("EHLO x\r\n", t => t.Length >= 19));

        // Says nothing, and so is known by its silence.
        await using var silent = await proxy.ConnectAsync();
        Assert.Equal("220 ready\r\n", await ReadAsync(silent, t => t.Length >= 11));
    }

    [Fact]
    public async Task Ports_of_servers_that_speak_first_are_not_looked_at()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("tcp", [proxy.Upstream(s => WriteAsync(s, "hello"))]));
        proxy.Listen(l =>
        {
            var inspector = Filter(XdsTypes.TlsInspector);
            inspector.FilterDisabled = new ListenerFilterChainMatchPredicate { DestinationPortRange = new Int32Range { Start = proxy.Port, End = proxy.Port + 1 } };
            l.ListenerFilters.Add(inspector);
            l.ListenerFiltersTimeout = Duration.FromTimeSpan(TimeSpan.FromSeconds(60));
            l.FilterChains.Add(Tcp("tcp"));
        });

        Assert.Equal("hello", await proxy.ExchangeAsync("", t => t.Length >= 5));
    }
}
