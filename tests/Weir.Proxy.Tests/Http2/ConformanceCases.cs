using Weir.Proxy.Http2;
using static Weir.Proxy.Tests.Http2.RawPeer;

namespace Weir.Proxy.Tests.Http2;

/// <summary>What a client sends after its preface and SETTINGS, and what has to come of it.</summary>
/// <param name="Rule">The section of RFC 9113, or of RFC 7541 where it says so.</param>
/// <param name="Outcome">As <see cref="OutcomeAsync"/> tells it.</param>
sealed record ConformanceCase(string Rule, string Name, string Outcome, params byte[][] Frames)
{
    public override string ToString() => $"{Rule}: {Name}";
}

/// <summary>
/// Frames in any order and of any shape, from a client. "/" is answered at once by the proxy itself, "/up" by an upstream, "/hold" never.
/// </summary>
static class ConformanceCases
{
    const string Protocol = "connection ProtocolError";
    const string Size = "connection FrameSizeError";
    const string Closed = "connection StreamClosed";
    const string Flow = "connection FlowControlError";
    const FrameFlags None = FrameFlags.None;

    static readonly byte[] Block1 = Block(Request("GET", "/"));
    static readonly byte[] Priority5 = [0, 0, 0, 0, 15];

    static byte[] Headers(FrameFlags flags, int id, params byte[] payload) => Frame(FrameType.Headers, flags, id, payload);

    static byte[] Continuation(FrameFlags flags, int id, params byte[] payload) => Frame(FrameType.Continuation, flags, id, payload);

    static byte[] Priority(int id, params byte[] payload) => Frame(FrameType.Priority, None, id, payload);

    const FrameFlags End = FrameFlags.EndStream;
    const FrameFlags Whole = FrameFlags.EndStream | FrameFlags.EndHeaders;

    public static readonly ConformanceCase[] Accepted =
    [
        new("3.4", "a preface and nothing else", "ignored"),
        new("5.1", "PRIORITY on an idle stream", "answer 1 200", Priority(1, Priority5), Get(1)),
        new("5.1", "WINDOW_UPDATE on a half-closed stream", "answer 1 200", Get(1, "/up"), WindowUpdate(1, 100)),
        new("5.1", "PRIORITY on a half-closed stream", "answer 1 200", Get(1, "/up"), Priority(1, Priority5)),
        new("5.1", "RST_STREAM on a half-closed stream", "ignored", Get(1, "/hold"), Reset(1)),
        new("5.1", "PRIORITY on a closed stream", "answer 1 200", Get(1), Priority(1, Priority5)),
        new("5.1", "WINDOW_UPDATE on a closed stream", "answer 1 200", Get(1), WindowUpdate(1, 1)),
        new("5.1", "WINDOW_UPDATE of nothing on a closed stream", "answer 1 200", Get(1), WindowUpdate(1, 0)),
        new("5.1", "RST_STREAM on a closed stream", "answer 1 200", Get(1), Reset(1)),
        new("6.1", "DATA", "answer 1 200", Post(1, "/up", "content-length: 4"), Data(1, "test", ends: true)),
        new("6.1", "DATA in several frames", "answer 1 200", Post(1, "/up", "content-length: 8"), Data(1, "test"), Data(1, "test", ends: true)),
        new("6.1", "DATA with padding", "answer 1 200", Post(1, "/up", "content-length: 4"),
            Frame(FrameType.Data, FrameFlags.Padded | End, 1, [6, .. "test"u8, 0, 0, 0, 0, 0, 0])),
        new("6.1", "DATA that is padding alone", "answer 1 200", Post(1, "/up", "content-length: 0"), Frame(FrameType.Data, FrameFlags.Padded | End, 1, 3, 0, 0, 0)),
        new("6.1", "DATA without anything", "answer 1 200", Post(1, "/up", "content-length: 0"), Data(1, "", ends: true)),
        new("6.2", "HEADERS", "answer 1 200", Get(1)),
        new("6.2", "HEADERS with padding", "answer 1 200", Headers(Whole | FrameFlags.Padded, 1, [2, .. Block1, 0, 0])),
        new("6.2", "HEADERS with priority", "answer 1 200", Headers(Whole | FrameFlags.Priority, 1, [.. Priority5, .. Block1])),
        new("6.2", "HEADERS with both", "answer 1 200", Headers(Whole | FrameFlags.Priority | FrameFlags.Padded, 1, [1, .. Priority5, .. Block1, 0])),
        new("6.2", "a new stream while another is open", "answer 3 200", Post(1), Get(3)),
        new("6.2", "a stream far beyond the last", "answer 2147483647 200", Get(int.MaxValue)),
        new("6.3", "PRIORITY of weight 1", "answer 1 200", Priority(1, 0, 0, 0, 0, 0), Get(1)),
        new("6.3", "PRIORITY of weight 256", "answer 1 200", Priority(1, 0, 0, 0, 0, 255), Get(1)),
        new("6.3", "PRIORITY with a dependency", "answer 1 200", Priority(1, 0, 0, 0, 7, 15), Get(1)),
        new("6.3", "PRIORITY, exclusive", "answer 1 200", Priority(1, 128, 0, 0, 7, 15), Get(1)),
        new("6.3", "PRIORITY on an idle stream, then one of a lower number", "answer 1 200", Priority(5, Priority5), Get(1)),
        new("5.3.2", "PRIORITY on the stream itself, which has no meaning any more", "ignored", Priority(1, 0, 0, 0, 1, 15)),
        new("5.3.2", "HEADERS that depend on themselves", "answer 1 200", Headers(Whole | FrameFlags.Priority, 1, [0, 0, 0, 1, 15, .. Block1])),
        new("6.4", "RST_STREAM", "ignored", Post(1), Reset(1)),
        new("6.5", "SETTINGS", "answer 1 200", Settings((SettingId.MaxConcurrentStreams, 100)), Get(1)),
        new("6.5", "SETTINGS without any", "ignored", Settings()),
        new("6.5.3", "SETTINGS with the same one twice", "answer 1 200", Settings((SettingId.InitialWindowSize, 0), (SettingId.InitialWindowSize, 1000)), Get(1)),
        new("6.5.2", "a setting that nobody knows", "answer 1 200", Settings(((SettingId)0xff, 1)), Get(1)),
        new("6.5.2", "a header table of every size", "answer 1 200", Settings((SettingId.HeaderTableSize, uint.MaxValue), (SettingId.HeaderTableSize, 0)), Get(1)),
        new("6.5.3", "an ACK that answers nothing", "ignored", Frame(FrameType.Settings, FrameFlags.Ack, 0), Frame(FrameType.Settings, FrameFlags.Ack, 0)),
        new("6.7", "PING", "ignored", Ping("h2spec..")),
        new("6.7", "PING with ACK is not answered", "ignored", Frame(FrameType.Ping, FrameFlags.Ack, 0, [.. "invalid!"u8])),
        new("6.8", "GOAWAY, and requests after it", "answer 1 200", GoAway(0), Get(1)),
        new("6.8", "GOAWAY with an error and a text", "ignored", Frame(FrameType.GoAway, None, 0, [0, 0, 0, 0, 0, 0, 0, 2, .. "bye"u8])),
        new("6.9", "WINDOW_UPDATE of the connection", "ignored", WindowUpdate(0, 1)),
        new("6.9", "WINDOW_UPDATE of a stream", "answer 1 200", Get(1, "/up"), WindowUpdate(1, 1)),
        new("6.9.1", "a window as large as can be", "ignored", WindowUpdate(0, int.MaxValue - 65_535)),
        new("6.10", "CONTINUATION", "answer 1 200", Headers(End, 1, Block1[..10]), Continuation(FrameFlags.EndHeaders, 1, Block1[10..])),
        new("6.10", "CONTINUATION more than once", "answer 1 200",
            Headers(End, 1, Block1[..1]), Continuation(None, 1, Block1[1..10]), Continuation(None, 1), Continuation(FrameFlags.EndHeaders, 1, Block1[10..])),
        new("4.1", "a frame of an unknown type", "ignored", Frame((FrameType)0xff, (FrameFlags)0xff, 0, 0, 0, 0, 0)),
        new("4.1", "flags that mean nothing", "ignored", Frame(FrameType.Ping, (FrameFlags)0x16, 0, [.. "unknown!"u8])),
        new("4.1", "the reserved bit", "ignored", [.. Frame(FrameType.Ping, None, 0)[..2], 8, 6, 0, 0x80, 0, 0, 0, .. "reserved"u8]),
        new("4.2", "DATA as large as may be", "answer 1 200", Post(1, "/up", "content-length: 16384"), Data(1, new string('x', 16_384), ends: true)),
        new("4.2", "HEADERS as large as may be", "answer 1 200", Get(1, "/", [.. Large(16_384)])),
        new("5.5", "an unknown frame on a stream", "answer 1 200", Frame((FrameType)0x16, None, 1, [.. "payload"u8]), Get(1)),
        new("7", "GOAWAY with an unknown code", "ignored", GoAway(0, (Http2ErrorCode)0xff)),
        new("7", "RST_STREAM with an unknown code", "ignored", Post(1), Reset(1, (Http2ErrorCode)0xff)),
        new("8.1", "GET", "answer 1 200", Get(1)),
        new("8.1", "HEAD", "answer 1 200", Head(1, true, Request("HEAD", "/"))),
        new("8.1", "POST with trailers", "answer 1 200", Post(1, "/up", "content-length: 4"), Data(1, "test"), Head(1, true, "x-test: ok")),
        new("8.1", "trailers without any field", "answer 1 200", Post(1, "/up", "content-length: 4"), Data(1, "test"), Head(1, true)),
        new("8.2.2", "te: trailers", "answer 1 200", Get(1, "/", "te: trailers")),
        new("8.3.1", "the path *", "answer 1 200", Head(1, true, Request("OPTIONS", "*"))),
        new("8.3.1", "Host in place of :authority", "answer 1 200", Head(1, true, ":method: GET", ":scheme: http", ":path: /", "host: a")),
    ];

    public static readonly ConformanceCase[] Framing =
    [
        new("4.2", "DATA that is too large", Size, Post(1), Frame(16_385, FrameType.Data, None, 1)),
        new("4.2", "HEADERS that are too large", Size, Frame(16_385, FrameType.Headers, Whole, 1)),
        new("4.2", "a frame of an unknown type that is too large", Size, Frame(16_385, (FrameType)0xff, None, 0)),
        new("4.3", "a block that cannot be decoded", "connection CompressionError", Headers(Whole, 1, 0x40)),
        new("4.3", "PRIORITY within a block", Protocol, Headers(End, 1, Block1), Priority(1, Priority5), Continuation(FrameFlags.EndHeaders, 1)),
        new("4.3", "HEADERS of another stream within a block", Protocol, Headers(End, 1, Block1), Get(3)),
        new("5.5", "an unknown frame within a block", Protocol, Headers(End, 1, Block1), Frame((FrameType)0x16, None, 0)),
        new("5.1", "idle: DATA", Protocol, Data(1, "test", ends: true)),
        new("5.1", "idle: RST_STREAM", Protocol, Reset(1)),
        new("5.1", "idle: WINDOW_UPDATE", Protocol, WindowUpdate(1, 100)),
        new("5.1", "idle: CONTINUATION", Protocol, Continuation(FrameFlags.EndHeaders, 1, Block1)),
        new("5.1", "half-closed: DATA", "stream 1 StreamClosed", Get(1, "/hold"), Data(1, "test", ends: true)),
        new("5.1", "half-closed: DATA without anything", "stream 1 StreamClosed", Get(1, "/hold"), Data(1, "", ends: true)),
        new("5.1", "half-closed: HEADERS", "stream 1 StreamClosed", Get(1, "/hold"), Get(1, "/hold")),
        new("5.1", "half-closed: CONTINUATION", Protocol, Get(1, "/hold"), Continuation(FrameFlags.EndHeaders, 1, Block1)),
        new("5.1", "reset by the client: DATA", Closed, Post(1), Reset(1), Data(1, "test", ends: true)),
        new("5.1", "reset by the client: HEADERS", Closed, Post(1), Reset(1), Get(1)),
        new("5.1", "reset by the client: CONTINUATION", Protocol, Post(1), Reset(1), Continuation(FrameFlags.EndHeaders, 1, Block1)),
        new("5.1", "closed: DATA", Closed, Get(1), Data(1, "test", ends: true)),
        new("5.1", "closed: HEADERS", Closed, Get(1), Get(1)),
        new("5.1", "closed: CONTINUATION", Protocol, Get(1), Continuation(FrameFlags.EndHeaders, 1, Block1)),
        new("5.1", "reset by the proxy: DATA and trailers that were on their way", "stream 1 ProtocolError, answer 3 200",
            Head(1, false, [.. Request("GET", "/"), "X: y"]), Data(1, "test"), Head(1, true, "x-test: ok"), Get(3)),
        new("5.1.1", "an even number", Protocol, Get(2)),
        new("5.1.1", "a lower number than before", Protocol, Get(5), Get(3)),
        new("6.1", "DATA on the connection", Protocol, Data(0, "test", ends: true)),
        new("6.1", "DATA with more padding than there is", Protocol, Post(1), Frame(FrameType.Data, FrameFlags.Padded | End, 1, [6, .. "test"u8])),
        new("6.1", "DATA with padding as long as the frame", Protocol, Post(1), Frame(FrameType.Data, FrameFlags.Padded | End, 1, 5, 0, 0, 0, 0)),
        new("6.1", "DATA too small for its padding's length", Size, Post(1), Frame(FrameType.Data, FrameFlags.Padded, 1)),
        new("6.2", "HEADERS on the connection", Protocol, Get(0)),
        new("6.2", "HEADERS with more padding than there is", Protocol, Headers(Whole | FrameFlags.Padded, 1, [255, .. Block1])),
        new("6.2", "HEADERS too small for the priority", Size, Headers(Whole | FrameFlags.Priority, 1, 0, 0, 0)),
        new("6.2", "HEADERS without an end, then another's DATA", Protocol, Post(1), Headers(End, 3, Block1), Data(1, "test")),
        new("6.3", "PRIORITY on the connection", Protocol, Priority(0, Priority5)),
        new("6.3", "PRIORITY of a wrong size", "stream 1 FrameSizeError", Post(1), Priority(1, 0, 0, 0, 0)),
        new("6.3", "PRIORITY of a wrong size on an idle stream, which cannot be reset", Size, Priority(1, 0, 0, 0, 0)),
        new("6.3", "PRIORITY of a wrong size on a stream that no client opens, which cannot be reset either", Size, Get(5), Priority(4, 0, 0, 0, 0)),
        new("6.4", "RST_STREAM on the connection", Protocol, Reset(0)),
        new("6.4", "RST_STREAM on an idle stream", Protocol, Reset(7)),
        new("6.4", "RST_STREAM of a wrong size", Size, Post(1), Frame(FrameType.RstStream, None, 1, 0, 0, 0)),
        new("6.5", "SETTINGS with ACK and a payload", Size, Frame(1, FrameType.Settings, FrameFlags.Ack, 0, 0)),
        new("6.5", "SETTINGS on a stream", Protocol, Frame(FrameType.Settings, None, 1, 0, 3, 0, 0, 0, 100)),
        new("6.5", "SETTINGS of a length that is no multiple of 6", Size, Frame(9, FrameType.Settings, None, 0, 0, 3, 0, 0, 0, 100, 0, 2)),
        new("6.5.2", "ENABLE_PUSH other than 0 and 1", Protocol, Settings((SettingId.EnablePush, 2))),
        new("6.5.2", "INITIAL_WINDOW_SIZE beyond 2^31-1", Flow, Settings((SettingId.InitialWindowSize, 0x8000_0000))),
        new("6.5.2", "MAX_FRAME_SIZE below 2^14", Protocol, Settings((SettingId.MaxFrameSize, 16_383))),
        new("6.5.2", "MAX_FRAME_SIZE beyond 2^24-1", Protocol, Settings((SettingId.MaxFrameSize, 16_777_216))),
        new("8441 3", "ENABLE_CONNECT_PROTOCOL taken back", Protocol, Settings((SettingId.EnableConnectProtocol, 1)), Settings((SettingId.EnableConnectProtocol, 0))),
        new("6.6", "PUSH_PROMISE from a client", Protocol, Post(1), Frame(FrameType.PushPromise, FrameFlags.EndHeaders, 1, [0, 0, 0, 2, .. Block1])),
        new("6.7", "PING on a stream", Protocol, Frame(FrameType.Ping, None, 1, [.. "12345678"u8])),
        new("6.7", "PING of a wrong size", Size, Frame(FrameType.Ping, None, 0, [.. "123456"u8])),
        new("6.8", "GOAWAY on a stream", Protocol, Frame(FrameType.GoAway, None, 1, new byte[8])),
        new("6.8", "GOAWAY of a wrong size", Size, Frame(FrameType.GoAway, None, 0, new byte[7])),
        new("6.9", "WINDOW_UPDATE of nothing on the connection", Protocol, WindowUpdate(0, 0)),
        new("6.9", "WINDOW_UPDATE of nothing on a stream", "stream 1 ProtocolError", Post(1), WindowUpdate(1, 0)),
        new("6.9", "WINDOW_UPDATE of a wrong size", Size, Frame(FrameType.WindowUpdate, None, 0, 0, 0, 1)),
        new("6.9.1", "a window of the connection beyond 2^31-1", Flow, WindowUpdate(0, int.MaxValue), WindowUpdate(0, int.MaxValue)),
        new("6.9.1", "a window of a stream beyond 2^31-1", "stream 1 FlowControlError", Post(1), WindowUpdate(1, int.MaxValue), WindowUpdate(1, int.MaxValue)),
        new("6.9.2", "SETTINGS that widen a window beyond 2^31-1", Flow, Post(1), WindowUpdate(1, int.MaxValue - 65_535), Settings((SettingId.InitialWindowSize, 65_536))),
        new("6.10", "CONTINUATION after the last HEADERS", Protocol, Headers(Whole, 1, Block1), Continuation(FrameFlags.EndHeaders, 1, Block1)),
        new("6.10", "CONTINUATION of nothing", Protocol, Continuation(FrameFlags.EndHeaders, 1)),
        new("6.10", "CONTINUATION after the last CONTINUATION", Protocol,
            Headers(End, 1, Block1), Continuation(FrameFlags.EndHeaders, 1), Continuation(FrameFlags.EndHeaders, 1)),
        new("6.10", "CONTINUATION on the connection", Protocol, Headers(End, 1, Block1), Continuation(FrameFlags.EndHeaders, 0)),
        new("6.10", "CONTINUATION of another stream", Protocol, Headers(End, 1, Block1), Continuation(FrameFlags.EndHeaders, 3)),
        new("6.10", "DATA before the last CONTINUATION", Protocol, Headers(None, 1, Block1), Data(1, "test"), Continuation(FrameFlags.EndHeaders, 1)),
    ];

    /// <summary>Fields that fill one HEADERS frame to this many bytes, beside those of <see cref="Get"/>.</summary>
    static IEnumerable<string> Large(int length)
    {
        var left = length - Block1.Length;
        while (left > 0)
        {
            var size = left > 8000 ? 4000 : left;

            // The type, the name with its length, and three bytes for the length of such a value.
            yield return $"x: {new string('y', size - 6)}";
            left -= size;
        }
    }
}
