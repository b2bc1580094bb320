using System.Collections.Concurrent;
using System.Net;
using Envoy.Config.Cluster.V3;
using Google.Protobuf.WellKnownTypes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;
using static Weir.Proxy.Tests.Http2.ScriptedUpstream;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Connections to upstreams, which the requests of many clients share: none of these harms the others, and none is used for ever.</summary>
public class SharedConnectionTests
{
    const string Ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const int PageBytes = 200_000;

    static Duration Milliseconds(int count) => Duration.FromTimeSpan(TimeSpan.FromMilliseconds(count));

    static async Task<WebApplication> PagesAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, l => l.Protocols = HttpProtocols.Http2));
        var application = builder.Build();
        application.Run(async context =>
        {
            context.Response.ContentLength = PageBytes;
            await context.Response.Body.WriteAsync(new byte[PageBytes]);
        });
        await application.StartAsync();
        return application;
    }

    [Fact]
    public async Task A_client_that_does_not_read_does_not_stop_others()
    {
        await using var server = await PagesAsync();
        var port = new Uri(server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var stalled = await ConnectAsync(proxy, (SettingId.InitialWindowSize, 0));
        await stalled.SendAsync([.. Enumerable.Range(0, 30).Select(i => Get((2 * i) + 1))]);
        for (var i = 0; i < 30; i++)
        {
            await stalled.ReadUntilAsync(f => f.Type == FrameType.Headers);
        }

        // More than one: the first may come before all that the stalled ones can hold is held.
        for (var i = 0; i < 5; i++)
        {
            var answer = await proxy.ExchangeAsync(Ask);

            Assert.StartsWith("HTTP/1.1 200", answer, StringComparison.Ordinal);
            Assert.InRange(answer.Length, PageBytes, int.MaxValue);
        }
    }

    /// <summary>As when an operator takes a change back, while one old stream goes on.</summary>
    [Fact]
    public async Task After_a_change_of_trust_was_taken_back_connections_are_used_again()
    {
        using var certificates = new TestCertificates();
        var connections = new ConcurrentQueue<int>();
        await using var proxy = new ProxyHarness();
        var port = Scripted(proxy, connections, async (peer, number, id) =>
        {
            if (number > 1)
            {
                return await AnswerAsync(peer, id);
            }

            // An answer that does not end.
            await peer.SendAsync(Head(id, false, ":status: 200"));
            return true;
        });
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        Assert.Null(proxy.Routes(ProxyHarness.To("c", TimeSpan.Zero)));
        await using var watcher = await ConnectAsync(proxy);
        await watcher.SendAsync(Get(1));
        await watcher.ReadUntilAsync(FrameType.Headers, 1);

        Assert.Null(proxy.Cluster("c", [port], c =>
        {
            Http2ProxyTests.SpeakHttp2(c);
            c.TransportSocket = ProxyHarness.Upstream(new() { CommonTlsContext = new() { ValidationContext = certificates.Trust("spiffe://a") } });
        }));
        Assert.Equal("503", await AskAsync(proxy));
        Assert.Null(proxy.Cluster("c", [port], Http2ProxyTests.SpeakHttp2));
        var before = connections.Count;
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal("200 fine", await AskAsync(proxy));
        }

        Assert.InRange(connections.Count - before, 1, 2);
    }

    /// <summary>Speaks what it is spoken to in.</summary>
    static int EitherVersion(ProxyHarness proxy) => proxy.Upstream(async stream =>
    {
        var first = new byte[1];
        await stream.ReadExactlyAsync(first);
        if (first[0] != Preface[0])
        {
            await ProxyHarness.ReadHeadAsync(stream);
            await ProxyHarness.WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
            return;
        }

        await stream.ReadExactlyAsync(new byte[Preface.Length - 1]);
        var peer = new RawPeer(stream);
        await peer.SendAsync(Settings(), RawPeer.Frame(FrameType.Settings, FrameFlags.Ack, 0));
        while (await peer.ReadAsync(30) is { } frame)
        {
            if (frame.Type == FrameType.Headers)
            {
                await AnswerAsync(peer, frame.Stream);
            }
        }
    });

    [Fact]
    public async Task An_idle_connection_gives_way_to_one_that_is_needed()
    {
        const string Options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [EitherVersion(proxy)], c =>
        {
            c.TypedExtensionProtocolOptions[Options] = ProxyHarness.Pack($"type.googleapis.com/{Options}", new Envoy.Extensions.Upstreams.Http.V3.HttpProtocolOptions
            {
                UseDownstreamProtocolConfig = new() { HttpProtocolOptions = new(), Http2ProtocolOptions = new() },
            });
            c.CircuitBreakers = new();
            c.CircuitBreakers.Thresholds.Add(new CircuitBreakers.Types.Thresholds { MaxConnections = 1 });
        }));
        Assert.Null(proxy.Routes(ProxyHarness.To("c", TimeSpan.FromSeconds(5))));
        await using (var client = await ConnectAsync(proxy))
        {
            await client.SendAsync(Get(1));
            await client.ReadUntilAsync(FrameType.Data, 1);
        }

        Assert.StartsWith("HTTP/1.1 200", await proxy.ExchangeAsync(Ask), StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_that_has_gone_silent_is_given_up()
    {
        await using var proxy = Serve(
            p => Scripted(p, [], (peer, number, id) => number == 1 ? Task.FromResult(true) : AnswerAsync(peer, id)),
            timeout: TimeSpan.FromMilliseconds(200));

        Assert.Equal("504", await AskAsync(proxy, "GET"));
        Assert.Equal("200 fine", await AskAsync(proxy, "GET"));
    }

    /// <summary>A stream that the server has reset with an error was seen by it, unlike one on a kept connection that was closed.</summary>
    [Fact]
    public async Task A_request_that_the_server_has_reset_is_not_sent_again()
    {
        var asked = 0;
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            if (id == 1)
            {
                return await AnswerAsync(peer, id);
            }

            Interlocked.Increment(ref asked);
            await peer.SendAsync(Reset(id, Http2ErrorCode.InternalError));
            return true;
        }));
        Assert.Equal("200 fine", await AskAsync(proxy));

        var answer = await AskAsync(proxy, "DELETE");

        Assert.Equal(("503", 1), (answer, asked));
    }

    /// <summary>That requests come all the while does not put off that its silence is noticed.</summary>
    [Fact]
    public async Task An_upstream_that_answers_no_ping_is_given_up_though_requests_keep_coming()
    {
        // Fewer than may be open at a time.
        const int Requests = 80;
        await using var proxy = Serve(
            p => p.Upstream(async stream =>
            {
                var peer = await AcceptAsync(stream);
                while (await peer.ReadAsync(30) is not null)
                {
                }
            }),
            c =>
            {
                c.TypedExtensionProtocolOptions.Clear();
                c.Http2ProtocolOptions = new() { ConnectionKeepalive = new() { Interval = Milliseconds(100), Timeout = Milliseconds(300) } };
            },
            TimeSpan.Zero);
        await using var client = await ConnectAsync(proxy);

        await client.SendAsync(Get(1));
        var answer = client.ReadUntilAsync(FrameType.Headers, 1);
        for (var i = 1; i < Requests && !answer.IsCompleted; i++)
        {
            await client.SendAsync(Get((2 * i) + 1));
            await Task.Delay(TimeSpan.FromMilliseconds(40), TimeProvider.System);
        }

        Assert.True(answer.IsCompleted, "many times as long without an answer to PING as is allowed, and still used");
        Assert.Equal(":status: 503", client.Fields(await answer)[0]);
    }
}
