using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Weir.Proxy.Tests.Grpc;

/// <summary><c>grpc.testing.TestService</c> as gRPC's interoperability tests describe it, on Kestrel.</summary>
sealed class InteropServer : IAsyncDisposable
{
    public const string Service = "/grpc.testing.TestService/";
    readonly WebApplication application;

    InteropServer(WebApplication application) => this.application = application;

    /// <summary>Calls that were cancelled before they were answered, by method.</summary>
    public ConcurrentQueue<string> Cancelled { get; } = new();

    /// <summary>Of the calls that came, with their <c>grpc-timeout</c>.</summary>
    public ConcurrentQueue<string> Timeouts { get; } = new();

    public int Port { get; private set; }

    public static async Task<InteropServer> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
        });
        var server = new InteropServer(builder.Build());
        server.application.Run(server.ServeAsync);
        await server.application.StartAsync();
        var addresses = server.application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!;
        server.Port = new Uri(addresses.Addresses.Single()).Port;
        return server;
    }

    async Task ServeAsync(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        response.ContentType = "application/grpc";
        if (request.Headers["grpc-timeout"].ToString() is { Length: > 0 } timeout)
        {
            Timeouts.Enqueue(timeout);
        }

        if (request.Headers["x-grpc-test-echo-initial"] is { Count: > 0 } initial)
        {
            response.Headers["x-grpc-test-echo-initial"] = initial;
        }

        using var ended = context.RequestAborted.Register(() => Cancelled.Enqueue(request.Path));
        try
        {
            var (status, message) = await CallAsync(request.Path.ToString(), request.Body, response.Body, context);
            Finish(context, status, message);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // Reading may fail before the token is cancelled.
            Cancelled.Enqueue(request.Path);
            context.Abort();
        }
    }

    /// <summary>With nothing sent so far it is a trailers-only answer.</summary>
    static void Finish(HttpContext context, int status, string message)
    {
        void Add(string name, string value)
        {
            if (context.Response.HasStarted)
            {
                context.Response.AppendTrailer(name, value);
            }
            else
            {
                context.Response.Headers[name] = value;
            }
        }

        if (context.Request.Headers["x-grpc-test-echo-trailing-bin"] is { Count: > 0 } trailing)
        {
            Add("x-grpc-test-echo-trailing-bin", trailing.ToString());
        }

        Add("grpc-status", status.ToString(System.Globalization.CultureInfo.InvariantCulture));
        if (message.Length > 0)
        {
            Add("grpc-message", GrpcFraming.Encode(message));
        }
    }

    static Task<(int Status, string Message)> CallAsync(string path, Stream input, Stream output, HttpContext context) => path switch
    {
        Service + "EmptyCall" => UnaryAsync(input, output, _ => [], context.RequestAborted),
        Service + "UnaryCall" => UnaryAsync(input, output, null, context.RequestAborted),
        Service + "StreamingInputCall" => CollectAsync(input, output, context.RequestAborted),
        Service + "StreamingOutputCall" or Service + "FullDuplexCall" => AnswerEachAsync(input, output, context),
        _ => Task.FromResult((12, path.StartsWith(Service, StringComparison.Ordinal) ? "unknown method" : "unknown service")),
    };

    static async Task<(int Status, string Message)> UnaryAsync(Stream input, Stream output, Func<byte[], byte[]>? answer, CancellationToken cancellation)
    {
        var message = (await GrpcFraming.ReadAsync(input, cancellation))!;
        Assert.Null(await GrpcFraming.ReadAsync(input, cancellation));
        var request = InteropRequest.ParseSimple(message);
        if (request.StatusCode != 0)
        {
            return (request.StatusCode, request.StatusMessage);
        }

        await GrpcFraming.WriteAsync(output, answer is null ? InteropRequest.OnlyPayload(request.ResponseSize.FirstOrDefault()) : answer(message), cancellation);
        return (0, "");
    }

    static async Task<(int Status, string Message)> CollectAsync(Stream input, Stream output, CancellationToken cancellation)
    {
        var sum = 0;
        while (await GrpcFraming.ReadAsync(input, cancellation) is { } message)
        {
            sum += InteropRequest.PayloadIn(message);
        }

        await GrpcFraming.WriteAsync(output, InteropRequest.Aggregated(sum), cancellation);
        return (0, "");
    }

    /// <summary>A request that asks for nothing is not answered, and with that the server sleeps.</summary>
    static async Task<(int Status, string Message)> AnswerEachAsync(Stream input, Stream output, HttpContext context)
    {
        await context.Response.StartAsync(context.RequestAborted);
        while (await GrpcFraming.ReadAsync(input, context.RequestAborted) is { } message)
        {
            var request = InteropRequest.ParseStreaming(message);
            if (request.StatusCode != 0)
            {
                return (request.StatusCode, request.StatusMessage);
            }

            foreach (var size in request.ResponseSize)
            {
                await GrpcFraming.WriteAsync(output, InteropRequest.OnlyPayload(size), context.RequestAborted);
            }
        }

        return (0, "");
    }

    public async ValueTask DisposeAsync()
    {
        await application.StopAsync(new CancellationToken(canceled: true));
        await application.DisposeAsync();
    }
}
