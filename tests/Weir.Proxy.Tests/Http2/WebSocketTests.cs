using System.Net;
using System.Net.WebSockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests.Http2;

/// <summary>WebSocket over either version of HTTP on either side (RFC 6455, RFC 8441), with .NET's own client and Kestrel.</summary>
public class WebSocketTests
{
    public static TheoryData<Between, bool, bool> Cases
    {
        get
        {
            var cases = new TheoryData<Between, bool, bool>();
            foreach (var between in Enum.GetValues<Between>())
            {
                foreach (var (client, upstream) in ((bool, bool)[])[(false, false), (false, true), (true, false), (true, true)])
                {
                    cases.Add(between, client, upstream);
                }
            }

            return cases;
        }
    }

    static async Task<WebApplication> EchoServerAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, l => l.Protocols = HttpProtocols.Http2));
        var application = builder.Build();
        application.UseWebSockets();
        application.Run(async context =>
        {
            Assert.Equal("CONNECT", context.Request.Method);
            using var socket = await context.WebSockets.AcceptWebSocketAsync("echo");
            var buffer = new byte[200_000];
            while (await socket.ReceiveAsync(buffer.AsMemory(), context.RequestAborted) is { MessageType: not WebSocketMessageType.Close } message)
            {
                await socket.SendAsync(buffer.AsMemory(0, message.Count), message.MessageType, message.EndOfMessage, context.RequestAborted);
            }

            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", context.RequestAborted);
        });
        await application.StartAsync();
        return application;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Messages_go_both_ways_and_the_close_as_well(Between between, bool clientSpeaksHttp2, bool upstreamSpeaksHttp2)
    {
        await using var scripted = new ProxyHarness();
        await using var server = upstreamSpeaksHttp2 ? await EchoServerAsync() : null;
        var port = server is null ? scripted.Upstream(async stream => await EchoWebSocketAsync(stream, await ReadHeadAsync(stream)))
            : new Uri(server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;
        await using var path = ProxyPath.To(between, port, upstreamSpeaksHttp2 ? null : _ => { }, AllowWebSockets);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        using var handler = new SocketsHttpHandler { UseProxy = false };
        using var invoker = new HttpMessageInvoker(handler);
        using var socket = new ClientWebSocket();
        if (clientSpeaksHttp2)
        {
            socket.Options.HttpVersion = HttpVersion.Version20;
            socket.Options.HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        }

        if (upstreamSpeaksHttp2)
        {
            socket.Options.AddSubProtocol("echo");
        }

        await socket.ConnectAsync(new Uri($"ws://127.0.0.1:{path.Port}/socket"), invoker, limit.Token);
        Assert.Equal(upstreamSpeaksHttp2 ? "echo" : null, socket.SubProtocol);
        var buffer = new byte[100_000];
        foreach (var length in (int[])[1, 1000, 90_000])
        {
            await socket.SendAsync(new byte[length].AsMemory(), WebSocketMessageType.Binary, true, limit.Token);
            var received = 0;
            ValueWebSocketReceiveResult message;
            do
            {
                message = await socket.ReceiveAsync(buffer.AsMemory(received), limit.Token);
                received += message.Count;
            }
            while (!message.EndOfMessage);

            Assert.Equal(length, received);
        }

        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "bye", limit.Token);
        Assert.Equal(WebSocketCloseStatus.NormalClosure, socket.CloseStatus);
    }
}
