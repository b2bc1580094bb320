using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Weir.Xds.Server;
using Weir.Xds.Transport;

namespace Weir.Xds.Tests.Client;

/// <summary>An xDS server on ASP.NET's HTTP/2, on loopback.</summary>
sealed class TestServer : IAsyncDisposable
{
    readonly WebApplication app;

    TestServer(WebApplication app) => this.app = app;

    public required int Port { get; init; }

    public XdsServer InTheClear => new([XdsAddress.Tcp("127.0.0.1", Port)], null, "xds.test");

    /// <param name="certificate">Asked for each connection; null to serve in the clear.</param>
    /// <param name="clients">Who must have issued the client's certificate; null to ask for none.</param>
    public static async Task<TestServer> StartAsync(
        TestSource source, bool hasDelta = true, bool hasStateOfTheWorld = true, Func<X509Certificate2>? certificate = null, X509Certificate2? clients = null,
        RequestDelegate? otherwise = null, int port = 0)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;

            // The smallest windows there are, so that they are used up soonest.
            kestrel.Limits.Http2.InitialConnectionWindowSize = 65_535;
            kestrel.Limits.Http2.InitialStreamWindowSize = 65_535;
            kestrel.Listen(IPAddress.Loopback, port, listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                if (certificate is not null)
                {
                    listen.UseHttps(https =>
                    {
                        https.ServerCertificateSelector = (_, _) => certificate();
                        https.ClientCertificateMode = clients is null ? ClientCertificateMode.NoCertificate : ClientCertificateMode.RequireCertificate;
                        https.ClientCertificateValidation = (shown, chain, _) => clients is not null && shown.Issuer == clients.Subject;
                    });
                }
            });
        });
        var app = builder.Build();
        var stopping = app.Lifetime.ApplicationStopping;
        if (hasDelta)
        {
            app.MapPost(GrpcFraming.DeltaMethod, c => ServeAsync(c, (ended) => new DeltaStream(source, c.Request.Body, c.Response.Body).RunAsync(ended), stopping));
        }

        if (hasStateOfTheWorld)
        {
            app.MapPost(GrpcFraming.StateOfTheWorldMethod, c => ServeAsync(c, ended => new StateOfTheWorldStream(source, c.Request.Body, c.Response.Body).RunAsync(ended), stopping));
        }

        if (otherwise is not null)
        {
            app.MapPost("/{**path}", otherwise);
        }

        await app.StartAsync();
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return new TestServer(app) { Port = new Uri(address).Port };
    }

    static async Task ServeAsync(HttpContext context, Func<CancellationToken, Task> serve, CancellationToken stopping)
    {
        context.Response.ContentType = GrpcFraming.ContentType;
        await context.Response.StartAsync(context.RequestAborted);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        await serve(ended.Token);
        context.Response.AppendTrailer("grpc-status", "0");
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
