using Weir.Proxy.Http2;
using Weir.Xds;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What holds for requests of HTTP/1.1 holds for those of HTTP/2 as well.</summary>
public sealed class RequestRulesTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    readonly string directory = Directory.CreateTempSubdirectory("weir-rules").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    [Fact]
    public async Task Malformed_requests_are_logged()
    {
        var path = Path.Combine(directory, "access.log");
        var log = ProxyHarness.LogTo(path, "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS%\n");
        await using var proxy = new ProxyHarness();
        proxy.Clusters(("c", [proxy.Answering(Ok)]));
        Assert.Null(proxy.Routes(m => m.AccessLog.Add(log), ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);

        await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: x\r\n\r\n");
        await client.SendAsync(Get(1, "/", "content-length: x"));
        await client.ReadUntilAsync(FrameType.RstStream, 1);
        await client.SendAsync(Get(3, "/", "connection: x"));
        await client.ReadUntilAsync(FrameType.RstStream, 3);
        await client.SendAsync(Get(5));
        await client.ReadUntilAsync(FrameType.Headers, 5);

        string[] lines = [];
        SpinWait.SpinUntil(() => File.Exists(path) && (lines = File.ReadAllLines(path)).Length >= 4, TimeSpan.FromSeconds(5));

        // Of the first line nothing is believed in HTTP/1.1 when what follows is wrong.
        Assert.Equal(["- 400 DPE", "HTTP/2 400 DPE", "HTTP/2 400 DPE", "HTTP/2 200 -"], lines);
    }

    [Theory]
    [InlineData("a:b")]
    [InlineData(":::")]
    [InlineData("a:99999999")]
    [InlineData("][")]
    public async Task What_is_no_authority_is_refused(string authority)
    {
        await using var proxy = new ProxyHarness();
        var (port, seen) = proxy.Recording(Ok);
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);

        var answer = await proxy.ExchangeAsync($"GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        await client.SendAsync(Head(1, true, ":method: GET", ":scheme: http", ":path: /", $":authority: {authority}"));
        var reset = await client.ReadUntilAsync(f => f.Stream == 1);

        Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
        Assert.Equal(FrameType.RstStream, reset.Type);
        Assert.Equal(Http2ErrorCode.ProtocolError, reset.Code);
        Assert.False(seen.IsCompleted);
    }

    /// <summary>RFC 9110 section 10.1.1: the upstream wants the content before it says anything, and the client a word before it sends it.</summary>
    [Fact]
    public async Task Who_expects_100_continue_is_answered()
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async stream =>
        {
            await ProxyHarness.ReadHeadAsync(stream);
            await stream.ReadExactlyAsync(new byte[4]);
            await ProxyHarness.WriteAsync(stream, Ok);
        });
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);

        await client.SendAsync(Post(1, "/", "expect: 100-continue", "content-length: 4"));
        var interim = client.Fields(await client.ReadUntilAsync(FrameType.Headers, 1));
        await client.SendAsync(Data(1, "test", ends: true));
        var final = client.Fields(await client.ReadUntilAsync(FrameType.Headers, 1));

        Assert.Equal([":status: 100"], interim);
        Assert.Equal(":status: 200", final[0]);
    }

    /// <summary>Who the client is, and what its content is, stands in the head alone, where the proxy has seen to it.</summary>
    [Fact]
    public async Task Trailers_do_not_say_what_belongs_into_a_head()
    {
        await using var proxy = new ProxyHarness();
        var received = new TaskCompletionSource<string>();
        var port = proxy.Upstream(async stream =>
        {
            await ProxyHarness.ReadHeadAsync(stream);
            received.SetResult(await ProxyHarness.ReadAsync(stream, t => t.Contains("0\r\n", StringComparison.Ordinal) && t.EndsWith("\r\n\r\n", StringComparison.Ordinal)));
            await ProxyHarness.WriteAsync(stream, Ok);
        });
        proxy.Clusters(("c", [port]));
        Assert.Null(proxy.Routes(ProxyHarness.To("c")));
        await using var client = await ConnectAsync(proxy);

        await client.SendAsync(
            Post(1, "/", "x-forwarded-client-cert: Subject=head"),
            Data(1, "test"),
            Head(1, true, "x-forwarded-client-cert: URI=spiffe://other", "authorization: x", "content-type: text/html", "trailer: x", "x-sum: 4"));

        Assert.Equal("4\r\ntest\r\n0\r\nx-sum: 4\r\n\r\n", await received.Task.WaitAsync(TimeSpan.FromSeconds(10)));
    }
}
