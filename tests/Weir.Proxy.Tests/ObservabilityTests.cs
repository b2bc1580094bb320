using System.Text;
using System.Text.Json.Nodes;
using Envoy.Config.AccessLog.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Trace.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Type.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

using AccessLog = Envoy.Config.AccessLog.V3.AccessLog;
using TracingMessage = Envoy.Config.Trace.V3.Tracing;

namespace Weir.Proxy.Tests;

public sealed class ObservabilityTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Answer: \"yes\"\r\n\r\nok";

    readonly string directory = Directory.CreateTempSubdirectory("weir-log").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    string LogPath => Path.Combine(directory, "access.log");

    void Log(HttpConnectionManager manager, SubstitutionFormatString? format) => manager.AccessLog.Add(LogTo(LogPath, format));

    async Task<string> LinesAsync(int count)
    {
        string text = "";
        SpinWait.SpinUntil(() => File.Exists(LogPath) && (text = File.ReadAllText(LogPath)).Count(c => c == '\n') >= count, TimeSpan.FromSeconds(5));
        await Task.CompletedTask;
        return text;
    }

    static Task<string> AskAsync(ProxyHarness proxy, string request) => proxy.ExchangeAsync(request, t => t.EndsWith("ok", StringComparison.Ordinal));

    [Fact]
    public async Task Access_logs_are_written_in_envoys_format_unless_told_otherwise()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(h => Log(h, null), To("c")));

        await AskAsync(proxy, "POST /a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: \"test\"\r\nX-Request-Id: 7\r\nContent-Length: 3\r\n\r\nabc");

        Assert.Matches(
            """^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "POST /a\?b=c HTTP/1\.1" 200 - 3 2 \d+ \d+ "-" ""test"" "7" "example\.com" "127\.0\.0\.1:\d+"\n$""",
            await LinesAsync(1));
    }

    [Fact]
    public async Task Format_strings_know_envoys_operators()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(h => Log(h, new SubstitutionFormatString
        {
            TextFormat = "%REQ(X-None?:METHOD)% %REQ(:AUTHORITY):4% %RESP(X-Answer)% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %ROUTE_NAME% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %PROTOCOL% %START_TIME(%Y)% 100%%\n",
        }), To("c")));

        await AskAsync(proxy, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");

        Assert.Matches("^GET exam \"yes\" via_upstream c - 127\\.0\\.0\\.1 HTTP/1\\.1 2\\d{3} 100%\n$", await LinesAsync(1));
    }

    [Theory]
    [InlineData("%NO_SUCH%", "%NO_SUCH% is not supported")]
    [InlineData("%REQ(X%", "%REQ( is not closed")]
    [InlineData("%DURATION", "%DURATION has no closing percent sign")]
    [InlineData("%REQ()%", "needs the header's name")]
    public async Task A_format_that_is_not_understood_is_refused(string format, string reason)
    {
        await using var proxy = new ProxyHarness();

        Assert.Contains(reason, proxy.Routes(h => Log(h, new SubstitutionFormatString { TextFormat = format }), To("c")));
    }

    [Fact]
    public async Task Json_lines_are_valid_whatever_a_client_sends()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        var fields = new Struct
        {
            Fields =
            {
                ["method"] = Value.ForString("%REQ(:METHOD)%"), ["agent"] = Value.ForString("%REQ(USER-AGENT)%"), ["code"] = Value.ForString("%RESPONSE_CODE%"),
                ["text"] = Value.ForString("\"%RESPONSE_CODE%\" quoted"), ["none"] = Value.ForString("%REQ(X-NONE)%"),
                ["nested"] = Value.ForStruct(new Struct { Fields = { ["flags"] = Value.ForString("%RESPONSE_FLAGS%") } }),
            },
        };
        Assert.Null(proxy.Routes(h => Log(h, new SubstitutionFormatString { JsonFormat = fields }), To("c")));

        await AskAsync(proxy, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\\ \u00e9\t<x>\r\n\r\n");
        var line = JsonNode.Parse(await LinesAsync(1))!;

        Assert.Equal(("GET", 200, "\"\\ \u00e9\t<x>", "\"200\" quoted", "-"),
            ((string)line["method"]!, (int)line["code"]!, (string)line["agent"]!, (string)line["text"]!, (string)line["nested"]!["flags"]!));
    }

    static void Trace(HttpConnectionManager manager, IMessage config, string type, double share = 100) => manager.Tracing = new HttpConnectionManager.Types.Tracing
    {
        RandomSampling = new Percent { Value = share },
        Provider = new TracingMessage.Types.Http { Name = "t", TypedConfig = Pack(type, config) },
    };

    /// <summary>A collector that keeps the bodies it is sent.</summary>
    static (int Port, TaskCompletionSource<(string Head, byte[] Body)> Received) Collector(ProxyHarness proxy)
    {
        var received = new TaskCompletionSource<(string, byte[])>(TaskCreationOptions.RunContinuationsAsynchronously);
        var port = proxy.Upstream(async s =>
        {
            var head = await ReadHeadAsync(s);
            var length = int.Parse(head.Split("content-length: ")[1].Split('\r')[0], System.Globalization.CultureInfo.InvariantCulture);
            var body = new byte[length];
            await s.ReadExactlyAsync(body);
            await WriteAsync(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            received.TrySetResult((head, body));
        });
        return (port, received);
    }

    [Fact]
    public async Task Traces_go_on_with_the_clients_context_and_spans_reach_an_otlp_collector()
    {
        await using var proxy = new ProxyHarness();
        var (application, seen) = proxy.Recording(Ok);
        var (port, received) = Collector(proxy);
        proxy.Clusters(("c", [application]), ("collector", [port]));
        Assert.Null(proxy.Routes(h => Trace(h, new OpenTelemetryConfig
        {
            ServiceName = "shop",
            HttpService = new HttpService { HttpUri = new HttpUri { Uri = "http://collector/v1/traces", Cluster = "collector" } },
        }, XdsTypes.OpenTelemetry), To("c")));

        await AskAsync(proxy, "GET /x HTTP/1.1\r\nHost: a\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
        var (head, body) = await received.Task.WaitAsync(TimeSpan.FromSeconds(10));

        var forwarded = (await seen).Split("traceparent: ")[1].Split("\r\n")[0];
        Assert.Matches("^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$", forwarded);
        Assert.DoesNotContain("b7ad6b7169203331", forwarded);
        Assert.StartsWith("POST /v1/traces HTTP/1.1\r\n", head);
        var span = OpenTelemetry.Proto.ExportTraceServiceRequest.Parser.ParseFrom(body).ResourceSpans[0];
        Assert.Equal("shop", span.Resource.Attributes[0].Value.StringValue);
        var sent = span.ScopeSpans[0].Spans[0];
        Assert.Equal("0AF7651916CD43DD8448EB211C80319C", Convert.ToHexString(sent.TraceId.Span));
        Assert.Equal("B7AD6B7169203331", Convert.ToHexString(sent.ParentSpanId.Span));
        Assert.Equal(forwarded[36..52], Convert.ToHexStringLower(sent.SpanId.Span));
        Assert.Contains(sent.Attributes, a => a is { Key: "http.url", Value.StringValue: "http://a/x" });
        Assert.InRange(sent.EndTimeUnixNano - sent.StartTimeUnixNano, 1UL, 10_000_000_000UL);
    }

    [Fact]
    public async Task Spans_never_go_in_the_clear_to_a_cluster_that_has_tls()
    {
        await using var proxy = new ProxyHarness(new EngineOptions { Seed = 1, QuietTime = TimeSpan.FromMilliseconds(100) });
        var (port, received) = Collector(proxy);
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Cluster("collector", [port], c => c.TransportSocket = ProxyHarness.Upstream(new Envoy.Extensions.TransportSockets.Tls.V3.UpstreamTlsContext())));
        Assert.Null(proxy.Routes(h => Trace(h, new ZipkinConfig { CollectorCluster = "collector" }, XdsTypes.Zipkin), To("c")));

        await AskAsync(proxy, "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n");

        Assert.True(SpinWait.SpinUntil(() => proxy.Engine.Workers.DroppedSpans == 1, TimeSpan.FromSeconds(10)));
        Assert.False(received.Task.IsCompleted);
    }

    [Fact]
    public async Task B3_is_spoken_with_those_who_speak_it_and_spans_reach_zipkin()
    {
        await using var proxy = new ProxyHarness();
        var (application, seen) = proxy.Recording(Ok);
        var (port, received) = Collector(proxy);
        proxy.Clusters(("c", [application]), ("zipkin", [port]));
        proxy.Routes(h => Trace(h, new ZipkinConfig { CollectorCluster = "zipkin", CollectorEndpoint = "/api/v2/spans" }, XdsTypes.Zipkin), To("c"));

        await AskAsync(proxy, "GET / HTTP/1.1\r\nHost: a\r\nX-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\r\nX-B3-SpanId: a2fb4a1d1a96d312\r\nX-B3-Sampled: 1\r\n\r\n");
        var (_, body) = await received.Task.WaitAsync(TimeSpan.FromSeconds(10));

        var head = await seen;
        Assert.Contains("x-b3-traceid: 463ac35c9f6413ad48485a3953bb6124\r\n", head);
        Assert.Contains("x-b3-parentspanid: a2fb4a1d1a96d312\r\nx-b3-sampled: 1\r\n", head);
        Assert.Equal(1, head.Split("463ac35c9f6413ad48485a3953bb6124-").Length - 1);
        var span = JsonNode.Parse(body)![0]!;
        Assert.Equal(("463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"), ((string)span["traceId"]!, (string)span["parentId"]!));
    }

    [Fact]
    public async Task A_decision_not_to_sample_is_passed_on()
    {
        await using var proxy = new ProxyHarness();
        var seen = new List<string>();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            string head;
            while ((head = await ReadHeadAsync(s)).Length > 0)
            {
                seen.Add(head);
                await WriteAsync(s, Ok);
            }
        })]));
        proxy.Routes(h => Trace(h, new ZipkinConfig { CollectorCluster = "none" }, XdsTypes.Zipkin, share: 0), To("c"));

        await AskAsync(proxy, "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\r\n");
        await AskAsync(proxy, "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n\r\n");

        Assert.All(seen, h => Assert.Contains("-00\r\n", h.Split("traceparent: ")[1]));
        Assert.DoesNotContain("00000000000000000000000000000000", seen[1]);
    }

    [Fact]
    public async Task The_administration_pages_show_and_change_the_proxy()
    {
        var admin = SocketAddressV4.Parse("127.0.0.1", (uint)FreePort());
        await using var proxy = new ProxyHarness(admin: new Admin.AdminOptions { AdminAddress = admin });
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        proxy.Routes(To("c"));
        await AskAsync(proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        using var client = new HttpClient { BaseAddress = new Uri($"http://{admin}") };

        var dump = JsonNode.Parse(await client.GetStringAsync("/config_dump"))!;
        Assert.Equal("c", (string)dump["clusters"]![0]!["name"]!);
        Assert.Contains(dump["listeners"]!.AsArray(), l => (string)l!["name"]! == "test");
        Assert.Equal("c", (string)dump["routes"]![0]!["virtual_hosts"]![0]!["routes"]![0]!["clusters"]!);
        Assert.Contains("istio_requests_total{", await client.GetStringAsync("/stats/prometheus"));
        Assert.True((long)JsonNode.Parse(await client.GetStringAsync("/memory"))!["resident"]! > 0);
        Assert.Equal("info\n", await client.GetStringAsync("/logging"));
        Assert.True((await client.PostAsync("/logging?level=debug", null)).IsSuccessStatusCode);
        Assert.Equal(LogLevel.Debug, proxy.Engine.Log.Level);
        Assert.Equal(System.Net.HttpStatusCode.BadRequest, (await client.PostAsync("/logging?level=loud", null)).StatusCode);
        Assert.Equal(System.Net.HttpStatusCode.MethodNotAllowed, (await client.GetAsync("/drain_listeners")).StatusCode);
        Assert.Equal(System.Net.HttpStatusCode.NotFound, (await client.GetAsync("/nothing")).StatusCode);
    }

    [Fact]
    public async Task Sessions_of_bytes_are_counted_under_istios_names()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Upstream(async s =>
        {
            await s.ReadExactlyAsync(new byte[5]);
            await WriteAsync(s, "good day");
        })]));
        proxy.Listen(l => l.FilterChains.Add(Tcp("c")));

        Assert.Equal("good day", await proxy.ExchangeAsync("hello", t => t.Length >= 8));
        string text = "";
        SpinWait.SpinUntil(() => (text = PrometheusText.Write(proxy.Stats, [])).Contains("istio_tcp_connections_closed_total{", StringComparison.Ordinal) && text.Contains("} 5\n", StringComparison.Ordinal), TimeSpan.FromSeconds(5));

        Assert.Matches("istio_tcp_received_bytes_total\\{[^}]*\\} 5\n", text);
        Assert.Matches("istio_tcp_sent_bytes_total\\{[^}]*\\} 8\n", text);
        Assert.Matches("istio_tcp_connections_opened_total\\{[^}]*request_protocol=\"tcp\"[^}]*\\} 1\n", text);
    }
}
