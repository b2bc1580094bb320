using Weir.Proxy.Tests.Http2;

namespace Weir.Proxy.Tests.Grpc;

/// <summary>gRPC's published interoperability cases (<c>doc/interop-test-descriptions.md</c>) through one proxy and two.</summary>
public class InteropTests
{
    /// <summary>Every case is tried through each of these.</summary>
    public static TheoryData<Between> Paths => [Between.OneProxy, Between.TwoProxies, Between.TwoProxiesWithMutualTls];

    /// <summary>A server, what is before it, and a client.</summary>
    sealed class Run(InteropServer server, ProxyPath path) : IAsyncDisposable
    {
        readonly HttpMessageInvoker client = GrpcCall.Client();

        public InteropServer Server => server;

        public static async Task<Run> StartAsync(Between between)
        {
            var server = await InteropServer.StartAsync();
            return new Run(server, ProxyPath.To(between, server.Port));
        }

        public GrpcCall Call(string method, params (string Name, string Value)[] headers) => new(client, path.Url + InteropServer.Service + method, headers);

        public GrpcCall CallService(string path2) => new(client, path.Url + path2);

        public async ValueTask DisposeAsync()
        {
            client.Dispose();
            await path.DisposeAsync();
            await server.DisposeAsync();
        }
    }

    static readonly GrpcResult Fine = new(0, "");

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Empty_unary(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("EmptyCall");

        var (answer, result) = await call.UnaryAsync([]);

        Assert.Empty(answer!);
        Assert.Equal(Fine, result);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Large_unary(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("UnaryCall");

        var (answer, result) = await call.UnaryAsync(new InteropRequest([314159], 271828).ToSimple());

        Assert.Equal(314159, InteropRequest.PayloadIn(answer!));
        Assert.Equal(Fine, result);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Client_streaming(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("StreamingInputCall");

        foreach (var size in (int[])[27182, 8, 1828, 45904])
        {
            await call.WriteAsync(InteropRequest.OnlyPayload(size));
        }

        call.Complete();
        Assert.Equal(74922, InteropRequest.FirstNumber((await call.ReadAsync())!));
        Assert.Equal(Fine, await call.FinishAsync());
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Server_streaming(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("StreamingOutputCall");
        int[] sizes = [31415, 9, 2653, 58979];

        await call.WriteAsync(new InteropRequest(sizes, 0).ToStreaming());
        call.Complete();

        foreach (var size in sizes)
        {
            Assert.Equal(size, InteropRequest.PayloadIn((await call.ReadAsync())!));
        }

        Assert.Equal(Fine, await call.FinishAsync());
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Ping_pong(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("FullDuplexCall");

        foreach (var (size, payload) in ((int, int)[])[(31415, 27182), (9, 8), (2653, 1828), (58979, 45904)])
        {
            await call.WriteAsync(new InteropRequest([size], payload).ToStreaming());
            Assert.Equal(size, InteropRequest.PayloadIn((await call.ReadAsync())!));
        }

        call.Complete();
        Assert.Equal(Fine, await call.FinishAsync());
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Empty_stream(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("FullDuplexCall");

        call.Complete();

        Assert.Equal(Fine, await call.FinishAsync());
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Cancel_after_begin(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("StreamingInputCall");
        await call.WriteAsync(InteropRequest.OnlyPayload(1));

        // Cancelled when the server has it for sure: another call that came later is answered.
        using var other = run.Call("EmptyCall");
        await other.UnaryAsync([]);
        call.Cancel();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(call.HeadAsync);
        Assert.True(SpinWait.SpinUntil(() => run.Server.Cancelled.Contains(InteropServer.Service + "StreamingInputCall"), TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Cancel_after_first_response(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("FullDuplexCall");
        await call.WriteAsync(new InteropRequest([31415], 27182).ToStreaming());
        Assert.Equal(31415, InteropRequest.PayloadIn((await call.ReadAsync())!));

        call.Cancel();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(call.ReadAsync);
        Assert.True(SpinWait.SpinUntil(() => run.Server.Cancelled.Contains(InteropServer.Service + "FullDuplexCall"), TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Timeout_on_sleeping_server(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using (var first = run.Call("EmptyCall"))
        {
            // So that the time is spent waiting, and not for connections and handshakes of a busy machine.
            await first.UnaryAsync([]);
        }

        using var call = run.Call("UnaryCall", ("grpc-timeout", "500m"));

        // Half of a call: the server waits for the rest. The client has no deadline of its own, so that it is the proxy that answers.
        await call.WriteAsync(new InteropRequest([1], 27182).ToSimple());

        var result = await call.FinishAsync();
        Assert.Equal(4, result.Status);
        Assert.NotEmpty(result.Message);
        Assert.Equal("application/grpc", (await call.HeadAsync()).Content.Headers.ContentType!.MediaType);
        Assert.Empty((await call.HeadAsync()).TrailingHeaders);
        Assert.NotEmpty(run.Server.Timeouts);
        Assert.True(SpinWait.SpinUntil(() => run.Server.Cancelled.Contains(InteropServer.Service + "UnaryCall"), TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Custom_metadata(Between between)
    {
        await using var run = await Run.StartAsync(between);
        var binary = Convert.ToBase64String([0xab, 0xab, 0xab]);
        (string, string)[] metadata = [("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", binary)];

        using var unary = run.Call("UnaryCall", metadata);
        var (_, result) = await unary.UnaryAsync(new InteropRequest([314159], 271828).ToSimple());
        Assert.Equal(Fine, result);
        await CheckAsync(unary);

        using var duplex = run.Call("FullDuplexCall", metadata);
        await duplex.WriteAsync(new InteropRequest([314159], 271828).ToStreaming());
        Assert.Equal(314159, InteropRequest.PayloadIn((await duplex.ReadAsync())!));
        duplex.Complete();
        Assert.Equal(Fine, await duplex.FinishAsync());
        await CheckAsync(duplex);

        async Task CheckAsync(GrpcCall call)
        {
            Assert.Equal("test_initial_metadata_value", (await call.HeadAsync()).Headers.GetValues("x-grpc-test-echo-initial").Single());
            Assert.Equal(binary, (await call.HeadAsync()).TrailingHeaders.GetValues("x-grpc-test-echo-trailing-bin").Single());
        }
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Status_code_and_message(Between between)
    {
        await using var run = await Run.StartAsync(between);
        var asked = new InteropRequest([], 0, 2, "test status message");

        using var unary = run.Call("UnaryCall");
        Assert.Equal(new GrpcResult(2, "test status message"), (await unary.UnaryAsync(asked.ToSimple())).Result);

        using var duplex = run.Call("FullDuplexCall");
        await duplex.WriteAsync(asked.ToStreaming());
        duplex.Complete();
        Assert.Equal(new GrpcResult(2, "test status message"), await duplex.FinishAsync());
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Special_status_message(Between between)
    {
        await using var run = await Run.StartAsync(between);
        const string Message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
        using var call = run.Call("UnaryCall");

        var (_, result) = await call.UnaryAsync(new InteropRequest([], 0, 2, Message).ToSimple());

        Assert.Equal(new GrpcResult(2, Message), result);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Unimplemented_method(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.Call("UnimplementedCall");

        Assert.Equal(12, (await call.UnaryAsync([])).Result.Status);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Unimplemented_service(Between between)
    {
        await using var run = await Run.StartAsync(between);
        using var call = run.CallService("/grpc.testing.UnimplementedService/UnimplementedCall");

        Assert.Equal(12, (await call.UnaryAsync([])).Result.Status);
    }
}
