using System.Diagnostics;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.ConformanceTests;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>The published attacks: each ends with its connection, or is held within bounds, and other clients are served meanwhile.</summary>
[Collection(MeasuresMemory.Name)]
public class AttackTests
{
    const FrameFlags None = FrameFlags.None;
    const string Calm = "connection EnhanceYourCalm";

    /// <summary>Of memory that a single connection may cost beyond what it was before, whatever is sent on it.</summary>
    const long MaximumGrowth = 24 * 1024 * 1024;

    static byte[] Repeat(int count, Func<int, byte[]> frames) => [.. Enumerable.Range(0, count).SelectMany(frames)];

    /// <summary>Frames without end, in one write and more; the name is the number of the vulnerability where there is one.</summary>
    static readonly Dictionary<string, (byte[] First, byte[] Flood)> Floods = new()
    {
        ["CVE-2019-9512: PING"] = ([], Repeat(20_000, _ => Ping())),
        ["CVE-2019-9515: SETTINGS"] = ([], Repeat(20_000, i => Settings((SettingId.InitialWindowSize, (uint)i)))),
        ["ACK of SETTINGS"] = ([], Repeat(20_000, _ => Frame(FrameType.Settings, FrameFlags.Ack, 0))),
        ["ACK of PING"] = ([], Repeat(20_000, _ => Frame(FrameType.Ping, FrameFlags.Ack, 0, new byte[8]))),
        ["CVE-2019-9513: PRIORITY"] = ([], Repeat(20_000, i => Frame(FrameType.Priority, None, (i * 2) + 1, 0, 0, 0, 0, 1))),
        ["GOAWAY"] = ([], Repeat(20_000, _ => GoAway(0))),
        ["unknown frames"] = ([], Repeat(20_000, _ => Frame((FrameType)99, None, 0))),
        ["CVE-2019-9518: empty DATA"] = (Post(1), Repeat(20_000, _ => Data(1, ""))),
        ["CVE-2019-9518: DATA that is padding alone"] = (Post(1), Repeat(20_000, _ => Frame(FrameType.Data, FrameFlags.Padded, 1, 0))),
        ["CVE-2019-9518: empty CONTINUATION"] = (Frame(FrameType.Headers, None, 1), Repeat(20_000, _ => Frame(FrameType.Continuation, None, 1))),
        ["CVE-2024-27316: CONTINUATION"] = (Frame(FrameType.Headers, None, 1), Repeat(400, _ => Frame(FrameType.Continuation, None, 1, Block($"x: {new string('y', 4000)}")))),
        ["WINDOW_UPDATE of the connection"] = ([], Repeat(20_000, _ => WindowUpdate(0, 1))),
        ["WINDOW_UPDATE of a stream"] = (Post(1), Repeat(20_000, _ => WindowUpdate(1, 1))),
        ["CVE-2023-44487: cancelled requests"] = ([], Repeat(5000, i => [.. Post((i * 2) + 1), .. Reset((i * 2) + 1)])),
        ["CVE-2023-44487: requests beyond the limit"] = ([], Repeat(5000, i => Get((i * 2) + 1, "/hold"))),
        ["CVE-2019-9514: malformed requests"] = ([], Repeat(5000, i => Get((i * 2) + 1, "/", "X: y"))),
        ["CVE-2025-8671: windows that overflow"] = ([], Repeat(5000, i => [.. Post((i * 2) + 1), .. WindowUpdate((i * 2) + 1, int.MaxValue)])),
        ["CVE-2025-8671: window updates of nothing"] = ([], Repeat(5000, i => [.. Post((i * 2) + 1), .. WindowUpdate((i * 2) + 1, 0)])),
        ["CVE-2025-8671: content after the end"] = ([], Repeat(5000, i => [.. Get((i * 2) + 1, "/hold"), .. Data((i * 2) + 1, "x")])),
        ["CVE-2025-8671: content that was not declared"] = ([], Repeat(5000, i => [.. Post((i * 2) + 1, "/hold", "content-length: 1"), .. Data((i * 2) + 1, "xx")])),
        ["CVE-2025-8671: PRIORITY of a wrong size"] = (Post(1), Repeat(5000, i => [.. Post((i * 2) + 3), .. Frame(FrameType.Priority, None, (i * 2) + 3, 0)])),
        ["RST_STREAM of one stream, over and over"] = (Post(1), Repeat(20_000, _ => Reset(1))),
        ["HEADERS of a stream that was reset"] = (Get(1, "/", "X: y"), Repeat(20_000, _ => Get(1))),
    };

    public static IEnumerable<object[]> Names => Floods.Keys.Select(n => new object[] { n });

    /// <summary>Somebody else is answered.</summary>
    static async Task AssertServesAsync(ProxyHarness proxy)
    {
        var watch = Stopwatch.StartNew();
        Assert.Contains("200", await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), StringComparison.Ordinal);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"another client waited for {watch.Elapsed}");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Floods_end_with_their_connection(string name)
    {
        var (first, flood) = Floods[name];
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(first);
        var sending = peer.SendAsync(flood);
        await AssertServesAsync(proxy);

        Assert.Equal(Calm, await peer.OutcomeAsync(waitsForAnswer: false));
        await sending;
        await AssertServesAsync(proxy);
        Assert.Equal(1, proxy.Engine.Workers.Http2Floods);
        Assert.Contains("a connection of HTTP/2 from 127.0.0.1:", proxy.LogText, StringComparison.Ordinal);
    }

    /// <summary>As a proxy in front does whose many users give up, while others are served.</summary>
    [Fact]
    public async Task Who_lets_as_much_be_answered_as_it_cancels_floods_nobody()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy);

        for (var i = 0; i < 1500; i++)
        {
            await peer.SendAsync([.. Post((i * 4) + 1), .. Reset((i * 4) + 1), .. Get((i * 4) + 3)]);
            Assert.Equal(":status: 200", peer.Fields(await peer.ReadUntilAsync(FrameType.Headers, (i * 4) + 3))[0]);
        }

        Assert.Equal(0, proxy.Engine.Workers.Http2Floods);
    }

    [Fact]
    public async Task Cancelled_requests_do_not_pile_up_at_the_upstream()
    {
        var accepted = 0;
        var open = 0;
        var most = 0;
        await using var proxy = Serve();
        var port = proxy.Upstream(async stream =>
        {
            Interlocked.Increment(ref accepted);
            most = Math.Max(most, Interlocked.Increment(ref open));
            try
            {
                await stream.ReadAtLeastAsync(new byte[1024 * 1024], 1024 * 1024);
            }
            finally
            {
                Interlocked.Decrement(ref open);
            }
        });
        proxy.Clusters(("up", [port]), ("hold", [port]));
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(Floods["CVE-2023-44487: cancelled requests"].Flood);

        Assert.Equal(Calm, await peer.OutcomeAsync(waitsForAnswer: false));
        Assert.InRange(accepted, 0, 500);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref open) == 0, TimeSpan.FromSeconds(10)), "connections to the upstream are left");
        await AssertServesAsync(proxy);
    }

    [Fact]
    public async Task A_client_that_reads_nothing_costs_no_more_than_its_allowance()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy);
        var before = GC.GetTotalMemory(forceFullCollection: true);

        // Answered with far more bytes than asked with: the proxy stops, or ends it, long before all of them are kept.
        for (var i = 0; i < 200_000; i += 1000)
        {
            var sending = peer.SendAsync(Repeat(1000, n => Get(((i + n) * 2) + 1)));
            try
            {
                await sending.WaitAsync(TimeSpan.FromSeconds(1));
            }
            catch (TimeoutException)
            {
                break;
            }
        }

        await AssertServesAsync(proxy);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, MaximumGrowth);
    }

    [Fact]
    public async Task Large_answers_to_closed_windows_are_not_kept()
    {
        await using var proxy = Serve();
        var content = new byte[64 * 1024];
        var port = proxy.Upstream(async stream =>
        {
            await ProxyHarness.ReadHeadAsync(stream);
            await ProxyHarness.WriteAsync(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            for (var i = 0; i < 100_000_000; i += content.Length)
            {
                await stream.WriteAsync(content);
            }
        });
        proxy.Clusters(("up", [port]), ("hold", [port]));
        var before = GC.GetTotalMemory(forceFullCollection: true);
        await using var peer = await ConnectAsync(proxy, (SettingId.InitialWindowSize, 0));

        await peer.SendAsync(Repeat(100, i => Get((i * 2) + 1, "/up")));
        for (var i = 0; i < 100; i++)
        {
            await peer.ReadUntilAsync(f => f.Type == FrameType.Headers);
        }

        await AssertServesAsync(proxy);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, MaximumGrowth);
    }

    [Fact]
    public async Task A_window_opened_byte_by_byte_gives_bytes_and_no_more()
    {
        await using var proxy = Serve();
        proxy.Routes(Direct("/", 200, new string('x', 3000)));
        await using var peer = await ConnectAsync(proxy, (SettingId.InitialWindowSize, 0));
        await peer.SendAsync(Get(1));

        for (var i = 0; i < 2000; i++)
        {
            await peer.SendAsync(WindowUpdate(1, 1));
            Assert.Equal(1, (await peer.ReadUntilAsync(FrameType.Data, 1)).Header.Length);
        }

        await AssertServesAsync(proxy);
    }

    [Fact]
    public async Task Many_references_to_one_large_field_are_too_many()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var entry = new MemoryStream();
        entry.WriteByte(0x40);
        Literal(entry, "x");
        Literal(entry, new string('y', 4000));

        await peer.SendAsync(Frame(FrameType.Headers, FrameFlags.EndHeaders | FrameFlags.EndStream, 1, [.. Block(Request("GET", "/")), .. entry.ToArray()]));
        Assert.Equal(":status: 200", peer.Fields(await peer.ReadUntilAsync(FrameType.Headers, 1))[0]);
        for (var id = 3; id < 100; id += 2)
        {
            await peer.SendAsync(Frame(
                FrameType.Headers, FrameFlags.EndHeaders | FrameFlags.EndStream, id, [.. Block(Request("GET", "/")), .. Enumerable.Repeat((byte)0xbe, 16_000)]));
            Assert.Equal(":status: 431", peer.Fields(await peer.ReadUntilAsync(FrameType.Headers, id))[0]);
        }

        await AssertServesAsync(proxy);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, MaximumGrowth);
    }

    [Fact]
    public async Task Cookies_in_crumbs_take_time_by_their_length_alone()
    {
        await using var proxy = Serve();
        await using var peer = await ConnectAsync(proxy);
        var watch = Stopwatch.StartNew();

        // Field 32 of the static table is a cookie of nothing: each costs the client one byte, and becomes two.
        for (var id = 1; id < 100; id += 2)
        {
            await peer.SendAsync(Frame(
                FrameType.Headers, FrameFlags.EndHeaders | FrameFlags.EndStream, id, [.. Block(Request("GET", "/")), .. Enumerable.Repeat((byte)0xa0, 16_000)]));
            Assert.Equal(":status: 200", peer.Fields(await peer.ReadUntilAsync(FrameType.Headers, id))[0]);
        }

        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"{watch.Elapsed}");
    }

    [Fact]
    public async Task A_head_that_does_not_end_has_a_deadline_though_others_go_on()
    {
        await using var proxy = Serve();
        proxy.Routes(m => m.RequestHeadersTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(200)), Prefix("/hold", "hold"), Direct("/", 200, "hello"));
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(Get(1, "/hold"), Frame(FrameType.Headers, None, 3, Block(Request("GET", "/"))));

        var goAway = await peer.ReadUntilAsync(FrameType.GoAway);
        Assert.Equal(Http2ErrorCode.EnhanceYourCalm, goAway.Code);
    }

    [Fact]
    public async Task A_frame_that_does_not_end_has_the_same_deadline()
    {
        await using var proxy = Serve();
        proxy.Routes(m => m.RequestHeadersTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(200)), Prefix("/hold", "hold"), Direct("/", 200, "hello"));
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(Get(1, "/hold"), Frame(1000, FrameType.Headers, FrameFlags.EndHeaders, 3, Block(Request("GET", "/"))));

        Assert.Equal(Http2ErrorCode.EnhanceYourCalm, (await peer.ReadUntilAsync(FrameType.GoAway)).Code);
    }

    [Fact]
    public async Task Streams_that_are_left_idle_end_in_time()
    {
        await using var proxy = Serve();
        proxy.Routes(m => m.StreamIdleTimeout = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(200)), Prefix("/hold", "hold"));
        await using var peer = await ConnectAsync(proxy);

        await peer.SendAsync(Repeat(50, i => Post((i * 2) + 1)));

        for (var i = 0; i < 50; i++)
        {
            Assert.Equal(":status: 504", peer.Fields(await peer.ReadUntilAsync(f => f.Type == FrameType.Headers))[0]);
        }
    }
}
