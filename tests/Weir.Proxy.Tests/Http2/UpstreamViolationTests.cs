using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;
using static Weir.Proxy.Tests.Http2.ScriptedUpstream;

namespace Weir.Proxy.Tests.Http2;

/// <summary>An upstream that breaks the rules: its client gets an error that is none of a whole answer, and the next request an answer.</summary>
public class UpstreamViolationTests
{
    static readonly byte[] Ok = Head(1, false, ":status: 200");

    /// <summary>What the upstream says to its first request, on stream 1, and what the client of the proxy is told.</summary>
    static readonly (string Name, string Outcome, byte[][] Frames)[] Cases =
    [
        ("8.4: a push", "503", [Frame(FrameType.PushPromise, FrameFlags.EndHeaders, 1, [0, 0, 0, 2, .. Block(Request("GET", "/pushed"))])]),
        ("4.2: a frame that is too large", "503", [Frame(16_385, FrameType.Headers, FrameFlags.EndHeaders, 1)]),
        ("4.3: a head that cannot be decoded", "503", [Frame(FrameType.Headers, FrameFlags.EndHeaders, 1, 0x80)]),
        ("5.1: DATA on an idle stream", "503", [Data(3, "test")]),
        ("5.1: HEADERS on an idle stream", "503", [Head(3, true, ":status: 200")]),
        ("5.1: RST_STREAM on an idle stream", "503", [Reset(3)]),
        ("5.1: WINDOW_UPDATE on an idle stream", "503", [WindowUpdate(3, 1)]),
        ("5.1.1: a stream of the server's own", "503", [Head(2, true, ":status: 200")]),
        ("6.5.2: a server that wants pushes", "503", [Settings((SettingId.EnablePush, 1))]),
        ("6.9.1: a window beyond 2^31-1", "503", [WindowUpdate(0, int.MaxValue)]),
        ("6.10: CONTINUATION of nothing", "503", [Frame(FrameType.Continuation, FrameFlags.EndHeaders, 1)]),
        ("8.1: DATA before HEADERS", "502", [Data(1, "test", ends: true)]),
        ("8.1: an interim answer that ends", "502", [Head(1, true, ":status: 103")]),
        ("8.1: an interim answer and DATA", "502", [Head(1, false, ":status: 103"), Data(1, "test", ends: true)]),
        ("8.2: upper case", "502", [Head(1, true, ":status: 200", "X: y")]),
        ("8.2.2: a field of the connection", "502", [Head(1, true, ":status: 200", "connection: close")]),
        ("8.3.2: no status", "502", [Head(1, true, "x: y")]),
        ("8.3.2: a status of two digits", "502", [Head(1, true, ":status: 20")]),
        ("8.6: 101", "502", [Head(1, true, ":status: 101")]),
        ("8.3.2: a pseudo-header of requests", "502", [Head(1, true, ":status: 200", ":path: /")]),
        ("8.1.1: content declared, and none", "502", [Head(1, true, ":status: 200", "content-length: 5")]),
        ("8.1.1: less content than was declared", "200 cut", [Head(1, false, ":status: 200", "content-length: 5"), Data(1, "test", ends: true)]),
        ("8.1.1: more content than was declared", "200 cut", [Head(1, false, ":status: 200", "content-length: 3"), Data(1, "test", ends: true)]),
        ("8.1: a second head", "200 cut", [Ok, Data(1, "test"), Head(1, false, ":status: 200")]),
        ("8.1: trailers without an end", "200 cut", [Ok, Data(1, "test"), Head(1, false, "x: y")]),
        ("6.4: a reset within the answer", "200 cut", [Ok, Data(1, "test"), Reset(1, Http2ErrorCode.InternalError)]),
        ("6.4: a reset without an error within the answer", "200 cut", [Ok, Data(1, "test"), Reset(1, Http2ErrorCode.NoError)]),
        ("6.8: a connection error within the answer", "200 cut", [Ok, Data(1, "test"), Data(0, "test")]),
        ("8.1: a reset after the whole answer", "200 test", [Ok, Data(1, "test", ends: true), Reset(1, Http2ErrorCode.NoError)]),
        ("8.1: a reset right after a head that is all", "200 ", [Head(1, true, ":status: 200"), Reset(1, Http2ErrorCode.NoError)]),
        ("8.1: interim answers", "200 test", [Head(1, false, ":status: 103", "link: x"), Head(1, false, ":status: 100"), Ok, Data(1, "test", ends: true)]),
        ("8.1: trailers", "200 test", [Ok, Data(1, "test"), Head(1, true, "x: y")]),
        ("6.5: SETTINGS and PING meanwhile", "200 test", [Settings((SettingId.MaxFrameSize, 100_000)), Ping(), Ok, Data(1, "test", ends: true)]),
        ("4.1: what nobody knows", "200 test", [Frame((FrameType)77, (FrameFlags)0xff, 1, 1, 2, 3), Ok, Data(1, "test", ends: true)]),
    ];

    public static IEnumerable<object[]> Names => Cases.Select(c => new object[] { c.Name });

    public static IEnumerable<object[]> Codes => Enum.GetValues<Http2ErrorCode>().Where(c => c != Http2ErrorCode.RefusedStream).Select(c => new object[] { (uint)c }).Append([77u]);

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Breaks_a_rule(string name)
    {
        var (_, outcome, frames) = Cases.Single(c => c.Name == name);
        var isFirst = 1;
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            if (Interlocked.Exchange(ref isFirst, 0) == 0)
            {
                return await AnswerAsync(peer, id);
            }

            await peer.SendAsync(frames);
            return true;
        }));

        Assert.Equal(outcome, await AskAsync(proxy));

        Assert.Equal("200 fine", await AskAsync(proxy));
    }

    [Theory]
    [MemberData(nameof(Codes))]
    public async Task Resets_a_request(uint code)
    {
        await using var proxy = Serve(p => Scripted(p, [], async (peer, _, id) =>
        {
            await peer.SendAsync(Reset(id, (Http2ErrorCode)code));
            return true;
        }));

        Assert.Equal("503", await AskAsync(proxy));
    }
}
