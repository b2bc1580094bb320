using System.Buffers.Binary;
using System.Text;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

/// <summary>A frame as it came.</summary>
sealed record Frame(FrameType Type, FrameFlags Flags, int Stream, byte[] Payload)
{
    public bool IsEndStream => Type is FrameType.Data or FrameType.Headers && (Flags & FrameFlags.EndStream) != 0;

    public bool IsAck => (Flags & FrameFlags.Ack) != 0;

    /// <summary>Of GOAWAY.</summary>
    public int LastStream => BinaryPrimitives.ReadInt32BigEndian(Payload);

    /// <summary>Of RST_STREAM.</summary>
    public Http2ErrorCode Code => (Http2ErrorCode)BinaryPrimitives.ReadInt32BigEndian(Payload);
}

/// <summary>One side of a connection of HTTP/2, frame by frame: as a client of the proxy, or as an upstream. Acknowledges settings by itself, PING only when told to.</summary>
sealed class FramePeer(Stream stream)
{
    readonly HpackEncoder encoder = new(0);

    public static async Task<FramePeer> ConnectAsync(ProxyHarness proxy)
    {
        var peer = new FramePeer(await proxy.ConnectAsync());
        await peer.SendRawAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray());
        await peer.SendAsync(FrameType.Settings, FrameFlags.None, 0, []);
        return peer;
    }

    /// <summary>What an upstream begins with.</summary>
    public static async Task<FramePeer> AcceptAsync(Stream stream)
    {
        if (stream is System.Net.Sockets.NetworkStream network)
        {
            network.Socket.NoDelay = true;
        }

        var peer = new FramePeer(stream);
        await stream.ReadExactlyAsync(new byte["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".Length]);
        await peer.SendAsync(FrameType.Settings, FrameFlags.None, 0, []);
        return peer;
    }

    Task SendRawAsync(byte[] bytes) => stream.WriteAsync(bytes).AsTask();

    public Task SendAsync(FrameType type, FrameFlags flags, int id, byte[] payload)
    {
        var bytes = new byte[FrameHeader.Size + payload.Length];
        new FrameHeader(payload.Length, type, flags, id).Write(bytes);
        payload.CopyTo(bytes, FrameHeader.Size);
        return SendRawAsync(bytes);
    }

    public Task RequestAsync(int id, string path = "/", bool isEnd = true, string method = "GET") =>
        HeadAsync(id, isEnd, (":method", method), (":scheme", "http"), (":path", path), (":authority", "a"));

    public Task AnswerAsync(int id, bool isEnd = true, string status = "200") => HeadAsync(id, isEnd, (":status", status));

    public Task HeadAsync(int id, bool isEnd, params (string Name, string Value)[] fields)
    {
        var block = new byte[4096];
        var length = 0;
        foreach (var (name, value) in fields)
        {
            Assert.True(encoder.TryWrite(Encoding.ASCII.GetBytes(name), Encoding.ASCII.GetBytes(value), block.AsSpan(length), out var written));
            length += written;
        }

        return SendAsync(FrameType.Headers, FrameFlags.EndHeaders | (isEnd ? FrameFlags.EndStream : FrameFlags.None), id, block[..length]);
    }

    public Task DataAsync(int id, string text, bool isEnd = false) => SendAsync(FrameType.Data, isEnd ? FrameFlags.EndStream : FrameFlags.None, id, Encoding.ASCII.GetBytes(text));

    public Task ResetAsync(int id, Http2ErrorCode code) => SendAsync(FrameType.RstStream, FrameFlags.None, id, Number((int)code));

    public Task GoAwayAsync(int last, Http2ErrorCode code = Http2ErrorCode.NoError) => SendAsync(FrameType.GoAway, FrameFlags.None, 0, [.. Number(last), .. Number((int)code)]);

    public Task AnswerPingAsync(Frame ping) => SendAsync(FrameType.Ping, FrameFlags.Ack, 0, ping.Payload);

    /// <summary>Allows as much again as came with the frame.</summary>
    public async Task CreditAsync(Frame data)
    {
        if (data.Payload.Length > 0)
        {
            await SendAsync(FrameType.WindowUpdate, FrameFlags.None, 0, Number(data.Payload.Length));
            await SendAsync(FrameType.WindowUpdate, FrameFlags.None, data.Stream, Number(data.Payload.Length));
        }
    }

    static byte[] Number(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    /// <returns>Null at the end of the connection.</returns>
    public async Task<Frame?> ReadAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var head = new byte[FrameHeader.Size];
        try
        {
            if (await stream.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, limit.Token) < head.Length)
            {
                return null;
            }

            Assert.True(FrameHeader.TryRead(head, out var header));
            var payload = new byte[header.Length];
            await stream.ReadExactlyAsync(payload, limit.Token);
            if (header.Type == FrameType.Settings && !header.IsAck)
            {
                await SendAsync(FrameType.Settings, FrameFlags.Ack, 0, []);
            }

            return new Frame(header.Type, header.Flags, header.StreamId, payload);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>Reads over others until one of this type, and of this stream where one is given, has come.</summary>
    public async Task<Frame> ExpectAsync(FrameType type, int? id = null)
    {
        while (true)
        {
            var frame = await ReadAsync();
            Assert.True(frame is not null, $"the connection ended before {type}");
            if (frame.Type == type && (id is null || id == frame.Stream))
            {
                return frame;
            }
        }
    }

    /// <summary>Reads over what comes until the connection ends.</summary>
    public async Task ExpectEndAsync()
    {
        while (await ReadAsync() is not null)
        {
        }
    }
}
