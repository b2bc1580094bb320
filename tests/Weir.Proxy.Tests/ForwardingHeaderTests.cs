using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>What upstreams are told of whom a request came through.</summary>
public class ForwardingHeaderTests
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// <summary>The proxy's own word comes last: what stands before it is only what others have said.</summary>
    [Theory]
    [InlineData("", false, "127.0.0.1")]
    [InlineData("X-Forwarded-For: 203.0.113.7\r\n", false, "203.0.113.7, 127.0.0.1")]
    [InlineData("X-Forwarded-For: 203.0.113.7, 10.0.0.1\r\nX-FORWARDED-FOR: 10.0.0.2\r\n", false, "203.0.113.7, 10.0.0.1, 10.0.0.2, 127.0.0.1")]
    [InlineData("", true, null)]
    [InlineData("X-Forwarded-For: 203.0.113.7\r\n", true, "203.0.113.7")]
    public async Task Addresses_are_added_to_what_came(string sent, bool skips, string? expected)
    {
        await using var proxy = new ProxyHarness();
        var (port, head) = proxy.Recording(Ok);
        Assert.Null(proxy.Cluster("c", [port], _ => { }));
        Assert.Null(proxy.Routes(m => (m.UseRemoteAddress, m.SkipXffAppend) = (true, skips), To("c")));

        await proxy.ExchangeAsync($"GET / HTTP/1.1\r\nHost: a\r\n{sent}\r\n", t => t.EndsWith("ok", StringComparison.Ordinal));

        var lines = (await head).Split("\r\n").Where(l => l.StartsWith("x-forwarded-for: ", StringComparison.OrdinalIgnoreCase)).ToList();
        Assert.Equal(expected is null ? [] : [$"x-forwarded-for: {expected}"], lines);
    }
}
