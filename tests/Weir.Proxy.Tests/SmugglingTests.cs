using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class SmugglingTests
{
    /// <summary>
    /// An upstream that keeps every byte it is sent, and answers each request as it understands it: heads end with an empty line,
    /// bodies where their one length says.
    /// </summary>
    sealed class Recorder
    {
        public ConcurrentQueue<string> Heads { get; } = new();

        public async Task ServeAsync(NetworkStream stream)
        {
            string head;
            while ((head = await ReadHeadAsync(stream)).Length > 0)
            {
                Heads.Enqueue(head);
                var lines = head.Split("\r\n").Skip(1).Select(l => l.Split(": ", 2)).Where(l => l.Length == 2).ToLookup(l => l[0].ToLowerInvariant(), l => l[1]);
                if (lines["transfer-encoding"].SingleOrDefault() is "chunked")
                {
                    await ReadChunksAsync(stream);
                }
                else if (lines["content-length"].SingleOrDefault() is { } length)
                {
                    await stream.ReadExactlyAsync(new byte[int.Parse(length, System.Globalization.CultureInfo.InvariantCulture)]);
                }

                await WriteAsync(stream, head.StartsWith("HEAD", StringComparison.Ordinal) ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    }

    [Fact]
    public void There_are_enough_cases() => Assert.InRange(SmugglingCases.Refused().Count() + SmugglingCases.Harmless().Count(), 220, 1000);

    [Fact]
    public async Task What_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read()
    {
        await using var proxy = new ProxyHarness();
        var upstream = new Recorder();
        proxy.Clusters(("c", [proxy.Upstream(upstream.ServeAsync)]));
        proxy.Routes(To("c"));
        var wrong = new List<string>();
        foreach (var request in SmugglingCases.Refused())
        {
            upstream.Heads.Clear();
            var answer = await AnswerAsync(proxy, request + SmugglingCases.Smuggled);

            // One answer, an error, the connection closed; nothing smuggled has arrived.
            var answers = answer.Split("HTTP/1.1 ").Length - 1;
            var isError = answer.StartsWith("HTTP/1.1 4", StringComparison.Ordinal) || answer.StartsWith("HTTP/1.1 5", StringComparison.Ordinal) || answer.Length == 0 || answer.StartsWith("<reset>", StringComparison.Ordinal);
            if (answers > 1 || !isError || upstream.Heads.Any(h => h.Contains("smuggled", StringComparison.Ordinal)))
            {
                wrong.Add($"{Show(request)} → {Show(answer)}; upstream saw {string.Join(" | ", upstream.Heads.Select(Show))}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    [Fact]
    public async Task What_has_one_reading_ends_where_both_sides_say_it_does()
    {
        await using var proxy = new ProxyHarness();
        var upstream = new Recorder();
        proxy.Clusters(("c", [proxy.Upstream(upstream.ServeAsync)]));
        var asterisk = To("c");
        asterisk.Match = new Envoy.Config.Route.V3.RouteMatch { Path = "*" };
        proxy.Routes(To("c"), asterisk);
        var wrong = new List<string>();
        foreach (var request in SmugglingCases.Harmless())
        {
            upstream.Heads.Clear();
            var answer = await proxy.ExchangeAsync(request + "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            var finals = answer.Split("HTTP/1.1 200").Length - 1;
            if (finals != 2 || upstream.Heads.Count != 2 || !upstream.Heads.Last().StartsWith("GET /next", StringComparison.Ordinal))
            {
                wrong.Add($"{Show(request)} → {Show(answer)}; upstream saw {string.Join(" | ", upstream.Heads.Select(Show))}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    [Fact]
    public async Task Two_proxies_in_a_row_agree_on_where_every_message_ends()
    {
        await using var second = new ProxyHarness();
        await using var first = new ProxyHarness();
        var upstream = new Recorder();
        second.Clusters(("c", [second.Upstream(upstream.ServeAsync)]));
        second.Routes(To("c"));
        first.Clusters(("c", [second.Port]));
        first.Routes(To("c"));
        var wrong = new List<string>();
        foreach (var request in SmugglingCases.Harmless().Where(r => !r.StartsWith("OPTIONS", StringComparison.Ordinal)))
        {
            upstream.Heads.Clear();
            var answer = await first.ExchangeAsync(request + "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            if (answer.Split("HTTP/1.1 200").Length != 3 || upstream.Heads.Count != 2)
            {
                wrong.Add($"{Show(request)} → {Show(answer)}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join("\n", wrong));

        // And what the first refuses never reaches the second, whatever it would have made of it.
        foreach (var request in SmugglingCases.Refused())
        {
            upstream.Heads.Clear();
            await AnswerAsync(first, request + SmugglingCases.Smuggled);
            Assert.DoesNotContain(upstream.Heads, h => h.Contains("smuggled", StringComparison.Ordinal));
        }
    }

    /// <summary>All that comes until the connection is closed; a connection left open counts as an answer of its own.</summary>
    static async Task<string> AnswerAsync(ProxyHarness proxy, string request)
    {
        try
        {
            return await proxy.ExchangeAsync(request).WaitAsync(TimeSpan.FromSeconds(3));
        }
        catch (TimeoutException)
        {
            return "HTTP/1.1 (nothing, and left open) HTTP/1.1 ";
        }
    }

    static string Show(string text)
    {
        var shown = text.Replace("\r", "\\r", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\0", "\\0", StringComparison.Ordinal);
        return shown.Length > 160 ? shown[..160] + "…" : shown;
    }
}
