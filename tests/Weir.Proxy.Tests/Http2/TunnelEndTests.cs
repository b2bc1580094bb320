using System.Collections.Concurrent;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;
using static Weir.Proxy.Tests.Http2.ScriptedUpstream;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Tunnels whose upstream speaks HTTP/2 or agrees wrongly.</summary>
public class TunnelEndTests
{
    const string Ask = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    static string[] Request(params string[] more) =>
        [":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: /open/chat", ":authority: a", "sec-websocket-version: 13", .. more];

    static void Allow(HttpConnectionManager manager)
    {
        ProxyHarness.AllowWebSockets(manager);
        manager.Http2ProtocolOptions = new Envoy.Config.Core.V3.Http2ProtocolOptions { AllowConnect = true };
    }

    /// <summary>With its agreement, in the same frame.</summary>
    [Fact]
    public async Task A_tunnel_that_its_upstream_ends_at_once_ends()
    {
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            await peer.SendAsync(Head(id, true, ":status: 200"));
            return true;
        }, (SettingId.EnableConnectProtocol, 1)));
        Assert.Null(proxy.Routes(Allow, ProxyHarness.To("c")));
        await using var client = await proxy.ConnectAsync();
        await ProxyHarness.WriteAsync(client, Ask);
        Assert.StartsWith("HTTP/1.1 101", await ProxyHarness.ReadHeadAsync(client));
        var read = client.ReadAsync(new byte[1]).AsTask();
        Assert.Equal(0, await read.WaitAsync(TimeSpan.FromSeconds(3)));
    }

    /// <summary>The upstream has agreed to something else than was asked for.</summary>
    [Fact]
    public async Task An_upstream_that_switches_to_another_protocol_has_not_agreed()
    {
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")]));
        Assert.Null(proxy.Routes(Allow, ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync(Head(1, false, Request()));
        Assert.Equal(":status: 502", client.Fields(await client.ReadUntilAsync(FrameType.Headers, 1))[0]);
    }

    [Fact]
    public async Task A_protocol_reaches_the_upstream_under_its_name()
    {
        await using var proxy = new ProxyHarness();
        var (port, head) = proxy.Recording("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(m =>
        {
            Allow(m);
            m.UpgradeConfigs.Add(new HttpConnectionManager.Types.UpgradeConfig { UpgradeType = "chat" });
        }, ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);
        await client.SendAsync(Head(1, false, [":method: CONNECT", ":protocol: chat", ":scheme: http", ":path: /open/chat", ":authority: a"]));
        Assert.Contains("upgrade: chat\r\n", await head);
        Assert.Equal(":status: 200", client.Fields(await client.ReadUntilAsync(FrameType.Headers, 1))[0]);
    }

    /// <summary>There is no room for the answer to the key, without which 101 must not be said.</summary>
    [Fact]
    public async Task An_agreement_that_cannot_be_shown_whole_is_not_shown()
    {
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            await peer.SendAsync(Head(id, false, [":status: 200", .. Enumerable.Range(0, 100).Select(i => $"x-{i}: 1")]));
            return true;
        }, (SettingId.EnableConnectProtocol, 1)));
        Assert.Null(proxy.Routes(Allow, ProxyHarness.To("c")));
        await using var client = await proxy.ConnectAsync();
        await ProxyHarness.WriteAsync(client, Ask);
        Assert.StartsWith("HTTP/1.1 502", await ProxyHarness.ReadHeadAsync(client));
    }
}
