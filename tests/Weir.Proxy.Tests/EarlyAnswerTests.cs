using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>Answers that come before the request is there as a whole.</summary>
public class EarlyAnswerTests
{
    /// <summary>If the rest of the request is not read, nothing can come after it: the client is told so and does not send another for nothing.</summary>
    [Theory]
    [InlineData(200)]
    [InlineData(302)]
    [InlineData(413)]
    public async Task An_answer_before_the_request_has_come_whole_says_that_it_is_the_last(int status)
    {
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async s =>
        {
            await ReadHeadAsync(s);
            await WriteAsync(s, $"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok");
            await ReadHeadAsync(s);
        });
        Assert.Null(proxy.Cluster("c", [port], _ => { }));
        Assert.Null(proxy.Routes(To("c")));
        using var client = await proxy.ConnectAsync();
        await WriteAsync(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");

        var head = await ReadHeadAsync(client);

        Assert.StartsWith($"HTTP/1.1 {status}", head, StringComparison.Ordinal);
        Assert.Contains("connection: close\r\n", head, StringComparison.Ordinal);
    }

    /// <summary>A client that writes all before it reads: closing while it writes would take the answer from it.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_sends_much_after_the_answer_is_there_can_read_it(bool hasUpstream)
    {
        const int pieces = 3000;
        const int pieceBytes = 1000;
        await using var proxy = new ProxyHarness();
        var port = proxy.Upstream(async s =>
        {
            await ReadHeadAsync(s);
            await WriteAsync(s, "HTTP/1.1 413 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        });
        Assert.Null(hasUpstream ? proxy.Cluster("c", [port], _ => { }) : null);
        Assert.Null(proxy.Routes(To("c")));
        using var client = await proxy.ConnectAsync();
        client.Socket.NoDelay = true;
        await WriteAsync(client, $"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {pieces * pieceBytes}\r\n\r\n");
        var piece = new byte[pieceBytes];
        for (var i = 0; i < pieces; i++)
        {
            await client.WriteAsync(piece);
        }

        Assert.StartsWith(hasUpstream ? "HTTP/1.1 413" : "HTTP/1.1 503", await ReadHeadAsync(client), StringComparison.Ordinal);
    }
}
