using System.Buffers.Binary;
using System.Text;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

/// <summary>One frame as it came.</summary>
sealed record RawFrame(FrameHeader Header, byte[] Payload)
{
    public FrameType Type => Header.Type;

    public int Stream => Header.StreamId;

    /// <summary>Of RST_STREAM and GOAWAY.</summary>
    public Http2ErrorCode Code => (Http2ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(Payload.AsSpan(Type == FrameType.GoAway ? 4 : 0));
}

/// <summary>
/// The other end of an HTTP/2 connection, which sends whatever it is told to, right or wrong. Headers are literals without an index, so
/// that what is sent depends on nothing before it.
/// </summary>
sealed class RawPeer(Stream stream) : IAsyncDisposable
{
    public static readonly byte[] Preface = Encoding.ASCII.GetBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

    /// <summary>Of a PING, not sent otherwise.</summary>
    const string Last = "last one";

    readonly HpackDecoder decoder = new();
    readonly byte[] head = new byte[FrameHeader.Size];

    public Stream Stream => stream;

    /// <summary>A client that has said its preface, with these settings, and has not read anything yet.</summary>
    public static async Task<RawPeer> ConnectAsync(ProxyHarness proxy, params (SettingId Id, uint Value)[] settings)
    {
        var peer = new RawPeer(await proxy.ConnectAsync());
        await peer.SendAsync(Preface, Settings(settings));
        return peer;
    }

    /// <summary>A server that has read the proxy's preface and has said these settings.</summary>
    public static async Task<RawPeer> AcceptAsync(Stream stream, params (SettingId Id, uint Value)[] settings)
    {
        var peer = new RawPeer(stream);
        await stream.ReadExactlyAsync(new byte[Preface.Length]);
        await peer.SendAsync(Settings(settings), Frame(FrameType.Settings, FrameFlags.Ack, 0));
        return peer;
    }

    public static byte[] Frame(FrameType type, FrameFlags flags, int id, params byte[] payload) => Frame(payload.Length, type, flags, id, payload);

    /// <summary>With a length that need not be true.</summary>
    public static byte[] Frame(int length, FrameType type, FrameFlags flags, int id, params byte[] payload)
    {
        var bytes = new byte[FrameHeader.Size + payload.Length];
        new FrameHeader(length, type, flags, id).Write(bytes);
        payload.CopyTo(bytes, FrameHeader.Size);
        return bytes;
    }

    public static byte[] Settings(params (SettingId Id, uint Value)[] settings)
    {
        var payload = new byte[settings.Length * Http2Settings.EntrySize];
        for (var i = 0; i < settings.Length; i++)
        {
            Http2Settings.Write(payload.AsSpan(i * Http2Settings.EntrySize), settings[i].Id, settings[i].Value);
        }

        return Frame(FrameType.Settings, FrameFlags.None, 0, payload);
    }

    public static byte[] Number(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] WindowUpdate(int id, uint increment) => Frame(FrameType.WindowUpdate, FrameFlags.None, id, Number(increment));

    public static byte[] Reset(int id, Http2ErrorCode code = Http2ErrorCode.Cancel) => Frame(FrameType.RstStream, FrameFlags.None, id, Number((uint)code));

    public static byte[] Ping(string payload = "are you?") => Frame(FrameType.Ping, FrameFlags.None, 0, Encoding.ASCII.GetBytes(payload));

    public static byte[] GoAway(int lastStream, Http2ErrorCode code = Http2ErrorCode.NoError) =>
        Frame(FrameType.GoAway, FrameFlags.None, 0, [.. Number((uint)lastStream), .. Number((uint)code)]);

    public static byte[] Data(int id, string content, bool ends = false) =>
        Frame(FrameType.Data, ends ? FrameFlags.EndStream : FrameFlags.None, id, Encoding.ASCII.GetBytes(content));

    /// <summary>A whole head. Names and values as "name: value"; a name may begin with a colon.</summary>
    public static byte[] Head(int id, bool ends, params string[] fields) =>
        Frame(FrameType.Headers, FrameFlags.EndHeaders | (ends ? FrameFlags.EndStream : 0), id, Block(fields));

    /// <summary>A request for a path, with more fields if wanted.</summary>
    public static byte[] Get(int id, string path = "/", params string[] fields) => Head(id, true, [.. Request("GET", path), .. fields]);

    /// <summary>A request with content to come.</summary>
    public static byte[] Post(int id, string path = "/hold", params string[] fields) => Head(id, false, [.. Request("POST", path), .. fields]);

    public static string[] Request(string method, string path) => [$":method: {method}", ":scheme: http", $":path: {path}", ":authority: a"];

    public static byte[] Block(params string[] fields)
    {
        var block = new MemoryStream();
        foreach (var field in fields)
        {
            var colon = field.StartsWith(": ", StringComparison.Ordinal) ? 0 : Math.Max(0, field.IndexOf(':', Math.Min(1, field.Length)));
            block.WriteByte(0);
            Literal(block, field[..colon]);
            Literal(block, field.Length == 0 ? "" : field[(colon + 1)..].StartsWith(' ') ? field[(colon + 2)..] : field[(colon + 1)..]);
        }

        return block.ToArray();
    }

    /// <summary>A string without Huffman coding (RFC 7541 section 5.2).</summary>
    public static void Literal(Stream block, string text)
    {
        if (text.Length < 127)
        {
            block.WriteByte((byte)text.Length);
        }
        else
        {
            block.WriteByte(127);
            var rest = text.Length - 127;
            for (; rest >= 128; rest >>= 7)
            {
                block.WriteByte((byte)((rest & 0x7f) | 0x80));
            }

            block.WriteByte((byte)rest);
        }

        block.Write(Encoding.Latin1.GetBytes(text));
    }

    /// <summary>All in one write. What the other side has closed meanwhile is no failure.</summary>
    public async Task SendAsync(params byte[][] frames)
    {
        try
        {
            await stream.WriteAsync(frames.SelectMany(f => f).ToArray());
        }
        catch (IOException)
        {
            // What was said before the close can still be read.
        }
    }

    /// <returns>Null at the end of the connection.</returns>
    public async Task<RawFrame?> ReadAsync(int seconds = 10)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            await stream.ReadExactlyAsync(head, limit.Token);
            Assert.True(FrameHeader.TryRead(head, out var header));
            var payload = new byte[header.Length];
            await stream.ReadExactlyAsync(payload, limit.Token);
            return new RawFrame(header, payload);
        }
        catch (Exception e) when (e is EndOfStreamException or IOException or ObjectDisposedException)
        {
            return null;
        }
    }

    /// <summary>Reads over frames until one is wanted.</summary>
    public async Task<RawFrame> ReadUntilAsync(Func<RawFrame, bool> isWanted)
    {
        while (true)
        {
            var frame = await ReadAsync() ?? throw new EndOfStreamException("the proxy has closed the connection");
            if (isWanted(frame))
            {
                return frame;
            }
        }
    }

    public Task<RawFrame> ReadUntilAsync(FrameType type, int id = 0) => ReadUntilAsync(f => f.Type == type && f.Stream == id);

    /// <summary>The fields of a head; each head has to be read, in its order.</summary>
    public string[] Fields(RawFrame frame)
    {
        var fields = new List<string>();
        var target = new byte[64 * 1024];
        var at = 0;
        while (decoder.TryRead(frame.Payload, ref at, target, out var field) == HpackResult.Field)
        {
            fields.Add($"{Encoding.Latin1.GetString(target, 0, field.NameLength)}: {Encoding.Latin1.GetString(target, field.NameLength, field.ValueLength)}");
        }

        return [.. fields];
    }

    /// <summary>
    /// Asks by PING whether the proxy has taken all that was sent, and tells what it made of it: "connection CODE" for GOAWAY and a
    /// close, "stream ID CODE" and "answer ID STATUS", "closed", or "ignored" when only the PING was answered.
    /// </summary>
    /// <param name="waitsForAnswer">One may come later than the answer to PING.</param>
    public async Task<string> OutcomeAsync(bool waitsForAnswer)
    {
        await SendAsync(Ping(Last));
        string? connection = null, stream = null, answer = null;
        while (true)
        {
            var frame = await ReadAsync();
            switch (frame)
            {
                case null:
                    return connection ?? "closed";
                case { Type: FrameType.GoAway }:
                    connection = $"connection {frame.Code}";
                    break;
                case { Type: FrameType.RstStream, Code: not Http2ErrorCode.NoError }:
                    stream ??= $"stream {frame.Stream} {frame.Code}";
                    break;
                case { Type: FrameType.Headers } when Fields(frame) is [var status, ..] && status.StartsWith(":status", StringComparison.Ordinal):
                    answer = $"answer {frame.Stream} {status[9..]}";
                    break;
            }

            var isAnswered = (frame is { Type: FrameType.Ping, Header.IsAck: true } && frame.Payload.AsSpan().SequenceEqual(Encoding.ASCII.GetBytes(Last))) || (waitsForAnswer && answer is not null);
            if (isAnswered && connection is null && (answer is not null || !waitsForAnswer))
            {
                return string.Join(", ", new[] { stream, answer }.Where(o => o is not null)) is { Length: > 0 } both ? both : "ignored";
            }
        }
    }

    public ValueTask DisposeAsync() => stream.DisposeAsync();
}
