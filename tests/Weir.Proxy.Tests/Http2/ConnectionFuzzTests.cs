using System.Diagnostics;
using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.ConformanceTests;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>
/// Frames that nobody would send, from seeds: whatever they are, no defect of the proxy's shows (the harness fails on one), no loop
/// hangs, memory stays where it was, and the next client is served.
/// </summary>
[Collection(MeasuresMemory.Name)]
public class ConnectionFuzzTests
{
    const int Connections = 400;
    const int MaximumFrames = 60;

    static readonly byte[][] Templates =
    [
        Get(1), Get(1, "/up"), Get(1, "/hold"), Post(1), Post(1, "/up", "content-length: 4"), Head(1, true, "x-test: ok"), Head(1, true, "", ": ", ": x"),
        Data(1, "test"), Data(1, "test", ends: true), Data(1, ""), Frame(FrameType.Data, FrameFlags.Padded, 1, [3, .. "test"u8, 0, 0, 0]), Reset(1),
        WindowUpdate(0, 1000), WindowUpdate(1, 1000), Settings((SettingId.InitialWindowSize, 10)), Settings((SettingId.InitialWindowSize, 100_000)),
        Settings((SettingId.HeaderTableSize, 0)), Settings((SettingId.HeaderTableSize, 10_000)), Settings((SettingId.MaxFrameSize, 20_000)), Ping(), GoAway(1),
        Frame(FrameType.Headers, FrameFlags.EndStream, 1, Block(Request("GET", "/"))), Frame(FrameType.Continuation, FrameFlags.EndHeaders, 1, Block("x: y")),
        Frame(FrameType.Headers, FrameFlags.EndStream | FrameFlags.EndHeaders, 1, [0x82, 0x86, 0x84, 0x41, 1, (byte)'a', 0x40, 1, (byte)'x', 1, (byte)'y', 0xbe, 0xa0, 0xa0]),
        Frame(FrameType.Priority, FrameFlags.None, 1, 0, 0, 0, 0, 1), Frame((FrameType)20, FrameFlags.None, 1, 1, 2, 3),
    ];

    /// <summary>A template on some stream; now and then with bytes changed, cut short, or made up altogether.</summary>
    static byte[] Next(Random random, ref int lastStream)
    {
        var frame = (byte[])Templates[random.Next(Templates.Length)].Clone();
        if (frame[8] != 0)
        {
            lastStream += random.Next(3) == 0 ? 2 : 0;
            var stream = Math.Max(1, lastStream - (2 * random.Next(3)));
            (frame[7], frame[8]) = ((byte)(stream >> 8), (byte)stream);
        }

        switch (random.Next(24))
        {
            case 0:
                frame[random.Next(frame.Length)] = (byte)random.Next(256);
                break;
            case 1:
                frame[4] = (byte)random.Next(256);
                break;
            case 2:
                frame[3] = (byte)random.Next(12);
                break;
            case 3:
                random.NextBytes(frame.AsSpan(FrameHeader.Size));
                break;
            case 4 when random.Next(10) == 0:
                return frame[..random.Next(frame.Length)];
        }

        return frame;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task No_sequence_of_frames_harms_the_proxy(int seed)
    {
        await using var proxy = Serve();
        var random = new Random(seed);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var i = 0; i < Connections; i++)
        {
            await using var peer = await ConnectAsync(proxy);
            var stream = 1;
            for (var frames = random.Next(MaximumFrames); frames > 0; frames--)
            {
                await peer.SendAsync(Next(random, ref stream));
            }
        }

        var watch = Stopwatch.StartNew();
        await using var last = await ConnectAsync(proxy);
        await last.SendAsync(Get(1, "/up"));
        Assert.Equal(":status: 200", last.Fields(await last.ReadUntilAsync(FrameType.Headers, 1))[0]);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"seed {seed}: {watch.Elapsed}");
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 64 * 1024 * 1024);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task No_sequence_of_frames_of_an_upstream_harms_the_proxy(int seed)
    {
        var random = new Random(seed);
        var isBroken = 1;
        await using var proxy = ScriptedUpstream.Serve(
            p => p.Upstream(async stream =>
            {
                var peer = await AcceptAsync(stream);
                var answers = 0;
                while (await peer.ReadAsync(30) is { } frame)
                {
                    if (frame.Type == FrameType.Headers && Volatile.Read(ref isBroken) == 0)
                    {
                        await ScriptedUpstream.AnswerAsync(peer, frame.Stream);
                    }
                    else if (frame.Type == FrameType.Headers)
                    {
                        await peer.SendAsync(Answers(random, frame.Stream));
                        if (++answers % 3 == 0)
                        {
                            return;
                        }
                    }
                }
            }),
            timeout: TimeSpan.FromMilliseconds(300));
        for (var i = 0; i < 100; i++)
        {
            await proxy.ExchangeAsync("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        }

        isBroken = 0;

        // A connection that has been left in the middle of a frame hears of it only when it is used.
        var last = "";
        for (var tries = 0; tries < 5 && last != "200 fine"; tries++)
        {
            last = await ScriptedUpstream.AskAsync(proxy);
        }

        Assert.Equal("200 fine", last);
    }

    static byte[][] Answers(Random random, int stream)
    {
        lock (random)
        {
            var last = stream;
            return
            [
                .. Enumerable.Range(0, random.Next(8)).Select(_ => random.Next(2) == 0 ? Head(stream, random.Next(2) == 0, ":status: 200") : Next(random, ref last)),
                Reset(stream, Http2ErrorCode.InternalError),
            ];
        }
    }
}
