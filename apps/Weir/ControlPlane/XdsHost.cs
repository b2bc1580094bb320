using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Weir.Xds;
using Weir.Xds.Server;

namespace Weir.App.ControlPlane;

/// <summary>Serves xDS over gRPC on a Unix socket that only its owner can open.</summary>
static class XdsHost
{
    /// <summary>The kernel's limit, less the NUL at the end.</summary>
    const int MaximumPath = 107;

    /// <exception cref="IOException">The path cannot be served on; the message says why.</exception>
    /// <param name="log">Told of errors that nobody foresaw, which end the stream they happen on.</param>
    public static async Task<WebApplication> StartAsync(string socket, ISnapshotSource source, Action<string> log, CancellationToken cancel)
    {
        await MakeRoomAsync(socket, cancel);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
            kestrel.ListenUnixSocket(socket, listen => listen.Protocols = HttpProtocols.Http2);
        });
        var app = builder.Build();
        var stopping = app.Lifetime.ApplicationStopping;
        app.MapPost(GrpcFraming.DeltaMethod, context => ServeAsync(
            context, ended => new DeltaStream(source, context.Request.Body, context.Response.Body).RunAsync(ended), log, stopping));
        app.MapPost(GrpcFraming.StateOfTheWorldMethod, context => ServeAsync(
            context, ended => new StateOfTheWorldStream(source, context.Request.Body, context.Response.Body).RunAsync(ended), log, stopping));
        await app.StartAsync(cancel);
        File.SetUnixFileMode(socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return app;
    }

    static async Task ServeAsync(HttpContext context, Func<CancellationToken, Task> serve, Action<string> log, CancellationToken stopping)
    {
        const string status = "grpc-status";
        const string ok = "0";
        const string @internal = "13";
        context.Response.ContentType = GrpcFraming.ContentType;
        context.Response.DeclareTrailer(status);
        await context.Response.StartAsync(context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        try
        {
            await serve(ended.Token);
            context.Response.AppendTrailer(status, ok);
        }
        catch (Exception e)
        {
            log($"unexpected error on an xDS stream, which ends it: {e}");
            context.Response.AppendTrailer(status, @internal);
        }
    }

    /// <summary>Removes what a server that has ended left behind, and nothing else.</summary>
    static async Task MakeRoomAsync(string socket, CancellationToken cancel)
    {
        if (Encoding.UTF8.GetByteCount(socket) > MaximumPath)
        {
            throw new IOException($"{socket}: a socket's path has at most {MaximumPath} bytes");
        }

        if (new FileInfo(socket) is { Exists: true, Length: > 0 })
        {
            throw new IOException($"{socket} exists and is no socket");
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await probe.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancel);
        }
        catch (SocketException)
        {
            File.Delete(socket);
            return;
        }

        throw new IOException($"{socket} is in use by another server");
    }
}
