using System.Net;
using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Config.Route.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tests.Http2;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Grpc;

/// <summary>Answers of the proxy's own to gRPC clients, and what is kept of the status of calls.</summary>
public sealed class OwnAnswerTests : IDisposable
{
    readonly string directory = Directory.CreateTempSubdirectory("weir-grpc").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    static async Task<(GrpcResult Result, HttpResponseMessage Head)> CallAsync(ProxyHarness proxy, string path = "/a/b")
    {
        using var client = GrpcCall.Client();
        using var call = new GrpcCall(client, $"http://127.0.0.1:{proxy.Port}{path}");
        var (_, result) = await call.UnaryAsync([]);
        return (result, await call.HeadAsync());
    }

    static Route Direct(uint status, string body) => new()
    {
        Match = new RouteMatch { Prefix = "/" },
        DirectResponse = new DirectResponseAction { Status = status, Body = new DataSource { InlineString = body } },
    };

    [Theory]
    [InlineData(400, 13)]
    [InlineData(401, 16)]
    [InlineData(403, 7)]
    [InlineData(404, 12)]
    [InlineData(405, 2)]
    [InlineData(429, 14)]
    [InlineData(500, 2)]
    [InlineData(502, 14)]
    [InlineData(503, 14)]
    [InlineData(504, 14)]
    public async Task A_status_of_http_is_told_as_one_of_grpc_in_a_head_that_is_all_there_is(uint http, int grpc)
    {
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Routes(Direct(http, "says 50% no\nand naïve")));

        var (result, head) = await CallAsync(proxy);

        Assert.Equal(new GrpcResult(grpc, "says 50% no\nand naïve"), result);
        Assert.Equal("says 50%25 no%0Aand na%C3%AFve", head.Headers.GetValues("grpc-message").Single());
        Assert.Equal("application/grpc", head.Content.Headers.ContentType!.ToString());
        Assert.Empty(head.TrailingHeaders);
    }

    [Fact]
    public async Task Without_a_route_it_is_unimplemented()
    {
        await using var proxy = new ProxyHarness();
        var elsewhere = To("c");
        elsewhere.Match = new RouteMatch { Prefix = "/elsewhere" };
        proxy.Clusters(("c", [FreePort()]));
        Assert.Null(proxy.Routes(elsewhere));

        Assert.Equal(12, (await CallAsync(proxy)).Result.Status);
    }

    [Fact]
    public async Task Without_an_upstream_it_is_unavailable()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", []));
        Assert.Null(proxy.Routes(To("c")));
        Assert.Equal(new GrpcResult(14, "no healthy upstream"), (await CallAsync(proxy)).Result);

        Assert.Null(proxy.Cluster("c", [FreePort()], Http2ProxyTests.SpeakHttp2));
        var (result, _) = await CallAsync(proxy);
        Assert.Equal(14, result.Status);
        Assert.Contains("connection failure", result.Message);
    }

    [Fact]
    public async Task Other_clients_are_answered_with_http()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", []));
        Assert.Null(proxy.Routes(To("c")));
        using var client = new HttpClient();
        using var content = new StringContent("{}", Encoding.UTF8, "application/grpc-web");

        using var answer = await client.PostAsync($"http://127.0.0.1:{proxy.Port}/", content);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.False(answer.Headers.Contains("grpc-status"));
    }

    [Fact]
    public async Task The_routes_timeout_is_a_deadline()
    {
        await using var server = await InteropServer.StartAsync();
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [server.Port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(To("c", TimeSpan.FromMilliseconds(100))));
        using var client = GrpcCall.Client();
        using var call = new GrpcCall(client, $"http://127.0.0.1:{proxy.Port}{InteropServer.Service}UnaryCall", ("grpc-timeout", "1H"));
        await call.WriteAsync([]);

        Assert.Equal(4, (await call.FinishAsync()).Status);
        Assert.True(SpinWait.SpinUntil(() => !server.Cancelled.IsEmpty, TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task Calls_are_counted_and_logged_with_their_status()
    {
        var log = Path.Combine(directory, "access.log");
        await using var server = await InteropServer.StartAsync();
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [server.Port], Http2ProxyTests.SpeakHttp2));
        var other = Direct(403, "no");
        other.Match = new RouteMatch { Prefix = "/forbidden" };
        Assert.Null(proxy.Routes(h => Log(h, log), other, To("c")));

        Assert.Equal(0, (await CallAsync(proxy, InteropServer.Service + "EmptyCall")).Result.Status);
        Assert.Equal(12, (await CallAsync(proxy, InteropServer.Service + "Nothing")).Result.Status);
        Assert.Equal(7, (await CallAsync(proxy, "/forbidden")).Result.Status);

        // In the trailers, in a head that was all there was, and of the proxy's own.
        Assert.True(SpinWait.SpinUntil(() => File.Exists(log) && File.ReadAllLines(log).Length == 3, TimeSpan.FromSeconds(5)));
        Assert.Equal(["200 OK 0", "200 Unimplemented 12", "200 PermissionDenied 7"], File.ReadAllLines(log));
        var text = "";
        Assert.True(SpinWait.SpinUntil(() => (text = PrometheusText.Write(proxy.Stats, [])).Contains("grpc_response_status=\"12\"", StringComparison.Ordinal), TimeSpan.FromSeconds(5)));
        Assert.Matches("istio_requests_total\\{[^}]*request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"0\"[^}]*\\} 1\n", text);
        Assert.Matches("istio_requests_total\\{[^}]*request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"12\"[^}]*\\} 1\n", text);
    }

    [Fact]
    public async Task Spans_have_the_status()
    {
        await using var proxy = new ProxyHarness();
        var received = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        proxy.Clusters(("c", [FreePort()]), ("collector", [proxy.Upstream(async stream =>
        {
            var head = await ReadHeadAsync(stream);
            var body = new byte[int.Parse(head.Split("content-length: ")[1].Split('\r')[0], System.Globalization.CultureInfo.InvariantCulture)];
            await stream.ReadExactlyAsync(body);
            await WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            received.TrySetResult(body);
        })]));
        var config = new Envoy.Config.Trace.V3.OpenTelemetryConfig
        {
            ServiceName = "shop",
            HttpService = new HttpService { HttpUri = new HttpUri { Uri = "http://collector/v1/traces", Cluster = "collector" } },
        };
        Assert.Null(proxy.Routes(h => h.Tracing = new HttpConnectionManager.Types.Tracing
        {
            RandomSampling = new Envoy.Type.V3.Percent { Value = 100 },
            Provider = new Envoy.Config.Trace.V3.Tracing.Types.Http { Name = "t", TypedConfig = Pack(XdsTypes.OpenTelemetry, config) },
        }, To("c")));

        Assert.Equal(14, (await CallAsync(proxy)).Result.Status);

        var spans = OpenTelemetry.Proto.ExportTraceServiceRequest.Parser.ParseFrom(await received.Task.WaitAsync(TimeSpan.FromSeconds(10)));
        var span = spans.ResourceSpans[0].ScopeSpans[0].Spans[0];
        Assert.Contains(span.Attributes, a => a is { Key: "grpc.status_code", Value.StringValue: "14" });
        Assert.Contains(span.Attributes, a => a is { Key: "rpc.grpc.status_code", Value.StringValue: "14" });
        Assert.Equal(OpenTelemetry.Proto.SpanStatus.Types.StatusCode.Error, span.Status.Code);
    }

    static void Log(HttpConnectionManager manager, string path) => manager.AccessLog.Add(LogTo(path, "%RESPONSE_CODE% %GRPC_STATUS% %GRPC_STATUS_NUMBER%\n"));
}
