using System.Buffers.Binary;
using System.Text;

namespace Weir.Xds.Client;

/// <summary>
/// One gRPC call over an HTTP/2 connection of its own (RFC 9113): all that an xDS client needs, at a fraction of a general client's
/// memory, which every sidecar would pay. It tells the server to use no header table (SETTINGS_HEADER_TABLE_SIZE 0), so that
/// header blocks, which say nothing the client must know, can be passed over without being decoded.
/// </summary>
public sealed class Http2Stream(Stream transport) : IAsyncDisposable
{
    const int FrameHeaderLength = 9;
    const int MaximumFrame = 16 * 1024;
    const int StreamId = 1;

    /// <summary>How much the server may send before it is told that there is room again.</summary>
    const int ReceiveWindow = 1024 * 1024;
    const int DefaultWindow = 65_535;

    enum FrameType : byte
    {
        Data,
        Headers,
        Priority,
        ResetStream,
        Settings,
        PushPromise,
        Ping,
        GoAway,
        WindowUpdate,
        Continuation,
    }

    const byte EndStream = 0x1;
    const byte Acknowledge = 0x1;
    const byte EndHeaders = 0x4;
    const byte Padded = 0x8;

    readonly SemaphoreSlim writing = new(1);
    readonly Lock windowLock = new();
    readonly byte[] header = new byte[FrameHeaderLength];
    byte[] pending = [];
    int pendingStart;
    int pendingEnd;
    long connectionWindow = DefaultWindow;
    long streamWindow = DefaultWindow;
    long peerInitialWindow = DefaultWindow;
    TaskCompletionSource windowGrew = new(TaskCreationOptions.RunContinuationsAsynchronously);
    bool isEnded;

    static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    public async Task OpenAsync(string authority, string path, CancellationToken cancel)
    {
        var start = new List<byte>();
        start.AddRange(Preface);

        // HEADER_TABLE_SIZE 0, ENABLE_PUSH 0, INITIAL_WINDOW_SIZE.
        AddFrame(start, FrameType.Settings, 0, 0, [.. Setting(1, 0), .. Setting(2, 0), .. Setting(4, ReceiveWindow)]);
        AddFrame(start, FrameType.WindowUpdate, 0, 0, Number(ReceiveWindow - DefaultWindow));
        List<byte> block = [0x83, 0x86];
        AddLiteral(block, 4, path);
        AddLiteral(block, 1, authority);
        AddLiteral(block, 31, GrpcFraming.ContentType);
        block.AddRange([0x00, 2, (byte)'t', (byte)'e']);
        AddText(block, "trailers");
        AddFrame(start, FrameType.Headers, EndHeaders, StreamId, [.. block]);
        await transport.WriteAsync(start.ToArray(), cancel).ConfigureAwait(false);
    }

    /// <summary>Sends one framed message, as far as the server's windows allow at a time.</summary>
    public async Task WriteAsync(byte[] message, CancellationToken cancel)
    {
        for (var at = 0; at < message.Length;)
        {
            var size = await TakeWindowAsync(Math.Min(MaximumFrame, message.Length - at), cancel).ConfigureAwait(false);
            await SendFrameAsync(FrameType.Data, 0, StreamId, message.AsMemory(at, size), cancel).ConfigureAwait(false);
            at += size;
        }
    }

    /// <summary>The next message, or null when the server has ended the call.</summary>
    /// <exception cref="IOException">The connection broke, or the server gave up.</exception>
    public async Task<byte[]?> ReadAsync(CancellationToken cancel)
    {
        while (true)
        {
            if (TryTakeMessage(out var message))
            {
                return message;
            }

            if (isEnded)
            {
                return null;
            }

            await ReadFrameAsync(cancel).ConfigureAwait(false);
        }
    }

    bool TryTakeMessage(out byte[] message)
    {
        message = [];
        var available = pending.AsSpan(pendingStart, pendingEnd - pendingStart);
        if (available.Length < 5)
        {
            return false;
        }

        var length = BinaryPrimitives.ReadInt32BigEndian(available[1..]);
        if (available[0] != 0 || length is < 0 or > GrpcFraming.MaximumMessage)
        {
            throw new InvalidDataException("the server's message is compressed or too large");
        }

        if (available.Length < length + 5)
        {
            return false;
        }

        message = available.Slice(5, length).ToArray();
        pendingStart += length + 5;
        if (pendingStart == pendingEnd)
        {
            // What a large message needed is not kept.
            pending = pending.Length > MaximumFrame * 4 ? [] : pending;
            pendingStart = pendingEnd = 0;
        }

        return true;
    }

    async Task ReadFrameAsync(CancellationToken cancel)
    {
        await transport.ReadExactlyAsync(header, cancel).ConfigureAwait(false);
        var length = (header[0] << 16) | (header[1] << 8) | header[2];
        var (type, flags) = ((FrameType)header[3], header[4]);
        if (length > MaximumFrame)
        {
            throw new InvalidDataException("the server's frame is larger than it may be");
        }

        var payload = new byte[length];
        await transport.ReadExactlyAsync(payload, cancel).ConfigureAwait(false);
        switch (type)
        {
            case FrameType.Data:
                Append(payload.AsSpan(), (flags & Padded) != 0);
                isEnded |= (flags & EndStream) != 0;
                if (length > 0)
                {
                    await SendFrameAsync(FrameType.WindowUpdate, 0, 0, Number(length), cancel).ConfigureAwait(false);
                    await SendFrameAsync(FrameType.WindowUpdate, 0, StreamId, Number(length), cancel).ConfigureAwait(false);
                }

                break;
            case FrameType.Headers:
                isEnded |= (flags & EndStream) != 0;
                break;
            case FrameType.Settings when (flags & Acknowledge) == 0:
                ApplySettings(payload);
                await SendFrameAsync(FrameType.Settings, Acknowledge, 0, default, cancel).ConfigureAwait(false);
                break;
            case FrameType.Ping when (flags & Acknowledge) == 0:
                await SendFrameAsync(FrameType.Ping, Acknowledge, 0, payload, cancel).ConfigureAwait(false);
                break;
            case FrameType.WindowUpdate:
                Grow(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(5)), BinaryPrimitives.ReadInt32BigEndian(payload) & int.MaxValue);
                break;
            case FrameType.ResetStream or FrameType.GoAway:
                throw new IOException($"the control plane ended the stream ({type})");
        }
    }

    void Append(ReadOnlySpan<byte> data, bool isPadded)
    {
        if (isPadded)
        {
            data = data[1..(data.Length - data[0])];
        }

        if (pending.Length - pendingEnd < data.Length)
        {
            var kept = pendingEnd - pendingStart;
            if (kept + data.Length > GrpcFraming.MaximumMessage)
            {
                throw new InvalidDataException("the server's message is too large");
            }

            var larger = pending.Length >= kept + data.Length ? pending : new byte[Math.Max(MaximumFrame, (kept + data.Length) * 2)];
            pending.AsSpan(pendingStart, kept).CopyTo(larger);
            (pending, pendingStart, pendingEnd) = (larger, 0, kept);
        }

        data.CopyTo(pending.AsSpan(pendingEnd));
        pendingEnd += data.Length;
    }

    void ApplySettings(ReadOnlySpan<byte> payload)
    {
        for (; payload.Length >= 6; payload = payload[6..])
        {
            if (BinaryPrimitives.ReadUInt16BigEndian(payload) == 4)
            {
                var window = BinaryPrimitives.ReadInt32BigEndian(payload[2..]);
                Grow(StreamId, window - peerInitialWindow);
                peerInitialWindow = window;
            }
        }
    }

    void Grow(int stream, long by)
    {
        lock (windowLock)
        {
            if (stream == 0)
            {
                connectionWindow += by;
            }
            else
            {
                streamWindow += by;
            }

            windowGrew.TrySetResult();
        }
    }

    async Task<int> TakeWindowAsync(int wanted, CancellationToken cancel)
    {
        while (true)
        {
            Task grew;
            lock (windowLock)
            {
                var size = (int)Math.Min(wanted, Math.Min(connectionWindow, streamWindow));
                if (size > 0)
                {
                    connectionWindow -= size;
                    streamWindow -= size;
                    return size;
                }

                windowGrew = new(TaskCreationOptions.RunContinuationsAsynchronously);
                grew = windowGrew.Task;
            }

            await grew.WaitAsync(cancel).ConfigureAwait(false);
        }
    }

    async Task SendFrameAsync(FrameType type, byte flags, int stream, ReadOnlyMemory<byte> payload, CancellationToken cancel)
    {
        var frame = new List<byte>(FrameHeaderLength + payload.Length);
        AddFrame(frame, type, flags, stream, payload.Span);
        await writing.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            await transport.WriteAsync(frame.ToArray(), cancel).ConfigureAwait(false);
        }
        finally
        {
            writing.Release();
        }
    }

    static void AddFrame(List<byte> target, FrameType type, byte flags, int stream, ReadOnlySpan<byte> payload)
    {
        target.AddRange([(byte)(payload.Length >> 16), (byte)(payload.Length >> 8), (byte)payload.Length, (byte)type, flags]);
        target.AddRange(Number(stream));
        target.AddRange(payload);
    }

    static byte[] Number(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    static byte[] Setting(byte id, int value) => [0, id, .. Number(value)];

    /// <summary>A literal field without indexing whose name is in the static table (RFC 7541 section 6.2.2).</summary>
    static void AddLiteral(List<byte> block, int nameIndex, string value)
    {
        // The index has four bits before it continues in another byte.
        block.AddRange(nameIndex < 15 ? [(byte)nameIndex] : [0x0f, (byte)(nameIndex - 15)]);
        AddText(block, value);
    }

    static void AddText(List<byte> block, string text)
    {
        var bytes = Encoding.ASCII.GetBytes(text);
        if (bytes.Length > 126)
        {
            throw new ArgumentException("longer than one length byte can say", nameof(text));
        }

        block.Add((byte)bytes.Length);
        block.AddRange(bytes);
    }

    public ValueTask DisposeAsync() => transport.DisposeAsync();
}
