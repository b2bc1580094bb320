using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Logging;
using Weir.ApiServer.Requests;

namespace Weir.ApiServer.Hosting;

/// <param name="Port">On 127.0.0.1.</param>
/// <param name="ServerCertificate">With its key.</param>
/// <param name="ClientAuthority">Client certificates it signed are let in.</param>
/// <param name="Token">The bearer token that is let in.</param>
public sealed record ApiServerOptions(int Port, X509Certificate2 ServerCertificate, X509Certificate2 ClientAuthority, string Token);

/// <summary>Serves the API over HTTPS on loopback, to holders of a client certificate or the token.</summary>
public static class ApiServerHost
{
    /// <exception cref="IOException">The port is taken.</exception>
    public static async Task<WebApplication> StartAsync(ApiHandler handler, ApiServerOptions options, CancellationToken cancel)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = "weir" });
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Listen(IPAddress.Loopback, options.Port, listen =>
            {
                listen.Protocols = HttpProtocols.Http1AndHttp2;
                listen.UseHttps(https =>
                {
                    https.ServerCertificate = options.ServerCertificate;
                    https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
                    https.ClientCertificateValidation = (certificate, _, _) => IsSignedBy(certificate, options.ClientAuthority);
                });
            });
        });
        var app = builder.Build();
        app.UseWebSockets();
        var token = Encoding.UTF8.GetBytes("Bearer " + options.Token);
        app.Run(async context =>
        {
            if (IsAuthenticated(context, token))
            {
                await handler.HandleAsync(context);
            }
            else
            {
                await ApiHandler.WriteStatusAsync(context, new ApiStatus(401, "Unauthorized", "Unauthorized"));
            }
        });
        await app.StartAsync(cancel);
        return app;
    }

    static bool IsAuthenticated(HttpContext context, byte[] token) =>
        context.Connection.ClientCertificate is not null
        || CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(context.Request.Headers.Authorization.ToString()), token);

    static bool IsSignedBy(X509Certificate2 certificate, X509Certificate2 authority)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid("1.3.6.1.5.5.7.3.2"));
        return chain.Build(certificate);
    }
}
