using Weir.Proxy.Tests.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>A client of HTTP/1.1 can always tell where an answer ends (RFC 9112 section 6.3).</summary>
public class AnswerFramingTests
{
    const string Next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    /// <summary>An upstream of HTTP/2 need not say that there is no content: the end of the stream does.</summary>
    [Theory]
    [InlineData("GET", 200, "content-length: 0\r\n")]
    [InlineData("POST", 201, "content-length: 0\r\n")]
    [InlineData("GET", 302, "content-length: 0\r\n")]
    [InlineData("GET", 404, "content-length: 0\r\n")]
    [InlineData("GET", 503, "content-length: 0\r\n")]
    [InlineData("GET", 204, "")]
    [InlineData("GET", 304, "")]
    [InlineData("HEAD", 200, "")]
    public async Task An_answer_of_HTTP2_without_content_ends_for_clients_of_HTTP1(string method, int status, string expected)
    {
        await using var proxy = ScriptedUpstream.Serve(p => ScriptedUpstream.Scripted(p, [], async (peer, _, id) =>
        {
            await peer.SendAsync(Head(id, true, $":status: {status}", "a: b"));
            return true;
        }));

        var answers = await proxy.ExchangeAsync($"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n{Next}");

        var parts = answers.Split("HTTP/1.1 ");
        Assert.Equal(3, parts.Length);
        Assert.StartsWith($"{status} ", parts[1], StringComparison.Ordinal);
        Assert.StartsWith($"{status} ", parts[2], StringComparison.Ordinal);
        Assert.EndsWith("\r\n\r\n", parts[1], StringComparison.Ordinal);
        var lengths = string.Concat(parts[1].Split("\r\n").Where(l => l.StartsWith("content-length", StringComparison.Ordinal)).Select(l => l + "\r\n"));
        Assert.Equal(expected, lengths);
        Assert.DoesNotContain("transfer-encoding", parts[1], StringComparison.Ordinal);
    }

    /// <summary>Its status is all there is of it.</summary>
    [Fact]
    public async Task What_the_proxy_tells_a_gRPC_client_by_HTTP1_has_an_end()
    {
        await using var proxy = new ProxyHarness();
        Assert.Null(proxy.Cluster("c", [FreePort()], _ => { }));
        Assert.Null(proxy.Routes(To("c")));

        var answers = await proxy.ExchangeAsync($"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n{Next}");

        var first = answers[..answers.IndexOf("\r\n\r\n", StringComparison.Ordinal)];
        Assert.Contains("grpc-status: 14", first, StringComparison.Ordinal);
        Assert.Contains("content-length: 0", first, StringComparison.Ordinal);
        Assert.Equal(3, answers.Split("HTTP/1.1 ").Length);
    }
}
