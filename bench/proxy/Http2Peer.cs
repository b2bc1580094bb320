using System.Buffers.Binary;
using Weir.Proxy.Http2;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Bench;

/// <summary>
/// One end of an HTTP/2 connection in the clear, with as little as a load or an upstream needs: frames and windows, field blocks made
/// once and read by nobody. Independent of the codecs that it measures, but for the nine octets of a frame's header.
/// </summary>
abstract class Http2Peer : LoopHandler
{
    const int Window = 16 * 1024 * 1024;

    /// <summary>How much of a window a peer may use up before it is told that there is more.</summary>
    protected const int UpdateAfter = Window / 4;

    readonly byte[] input = new byte[128 * 1024];
    byte[] output = new byte[64 * 1024];
    int have;
    int queued;
    int prefaceLeft;
    int unacknowledged;

    protected static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    protected EventLoop Loop { get; }

    protected TcpSocket? Socket { get; set; }

    /// <summary>What may be sent on the connection, and on a new stream.</summary>
    protected int ConnectionWindow { get; private set; } = FlowWindow.DefaultSize;

    protected int InitialWindow { get; private set; } = FlowWindow.DefaultSize;

    protected Http2Peer(EventLoop loop) => Loop = loop;

    protected void Begin(bool isServer)
    {
        if (isServer)
        {
            prefaceLeft = Preface.Length;
        }
        else
        {
            Write(Preface);
        }

        Span<byte> settings = stackalloc byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(settings, (ushort)SettingId.InitialWindowSize);
        BinaryPrimitives.WriteUInt32BigEndian(settings[2..], Window);
        BinaryPrimitives.WriteUInt16BigEndian(settings[6..], (ushort)SettingId.MaxConcurrentStreams);
        BinaryPrimitives.WriteUInt32BigEndian(settings[8..], 1000);
        WriteFrame(FrameType.Settings, FrameFlags.None, 0, settings);
        WriteWindowUpdate(0, Window - FlowWindow.DefaultSize);
    }

    public override void OnReady()
    {
        while (Socket is { IsOpen: true } socket)
        {
            var read = socket.Receive(input.AsSpan(have));
            if (read == -Native.Eagain)
            {
                break;
            }

            if (read <= 0)
            {
                Close();
                return;
            }

            have += read;
            ReadFrames();
        }

        Flush();
    }

    void ReadFrames()
    {
        var at = Math.Min(prefaceLeft, have);
        prefaceLeft -= at;
        while (FrameHeader.TryRead(input.AsSpan(at, have - at), out var frame) && have - at >= FrameHeader.Size + frame.Length)
        {
            OnFrame(frame, input.AsSpan(at + FrameHeader.Size, frame.Length));
            at += FrameHeader.Size + frame.Length;
        }

        input.AsSpan(at, have - at).CopyTo(input);
        have -= at;
    }

    void OnFrame(FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        switch (frame.Type)
        {
            case FrameType.Data:
                unacknowledged += payload.Length;
                if (unacknowledged >= UpdateAfter)
                {
                    WriteWindowUpdate(0, unacknowledged);
                    unacknowledged = 0;
                }

                OnData(frame.StreamId, payload, frame.IsEndStream);
                break;
            case FrameType.Headers:
                OnHeaders(frame.StreamId, frame.IsEndStream);
                break;
            case FrameType.RstStream:
                OnReset(frame.StreamId);
                break;
            case FrameType.Settings when !frame.IsAck:
                OnSettings(payload);
                WriteFrame(FrameType.Settings, FrameFlags.Ack, 0, []);
                break;
            case FrameType.Ping when !frame.IsAck:
                WriteFrame(FrameType.Ping, FrameFlags.Ack, 0, payload);
                break;
            case FrameType.WindowUpdate:
                var increment = (int)BinaryPrimitives.ReadUInt32BigEndian(payload);
                ConnectionWindow += frame.StreamId == 0 ? increment : 0;
                OnWindow(frame.StreamId, increment);
                break;
        }
    }

    void OnSettings(ReadOnlySpan<byte> payload)
    {
        for (; payload.Length >= 6; payload = payload[6..])
        {
            if (BinaryPrimitives.ReadUInt16BigEndian(payload) == (ushort)SettingId.InitialWindowSize)
            {
                InitialWindow = (int)BinaryPrimitives.ReadUInt32BigEndian(payload[2..]);
            }
        }
    }

    protected abstract void OnHeaders(int stream, bool isEnd);

    protected abstract void OnData(int stream, ReadOnlySpan<byte> content, bool isEnd);

    protected abstract void OnReset(int stream);

    /// <summary>More may be sent, on a stream or, if it is 0, on the connection.</summary>
    protected abstract void OnWindow(int stream, int increment);

    /// <summary>The windows must allow it.</summary>
    protected void WriteData(int stream, ReadOnlySpan<byte> content, bool isEnd)
    {
        ConnectionWindow -= content.Length;
        WriteFrame(FrameType.Data, isEnd ? FrameFlags.EndStream : FrameFlags.None, stream, content);
    }

    /// <param name="block">Of HPACK, without entries for the dynamic table.</param>
    protected void WriteHeaders(int stream, ReadOnlySpan<byte> block, bool isEnd) =>
        WriteFrame(FrameType.Headers, FrameFlags.EndHeaders | (isEnd ? FrameFlags.EndStream : FrameFlags.None), stream, block);

    protected void WriteWindowUpdate(int stream, int increment)
    {
        Span<byte> payload = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(payload, (uint)increment);
        WriteFrame(FrameType.WindowUpdate, FrameFlags.None, stream, payload);
    }

    void WriteFrame(FrameType type, FrameFlags flags, int stream, ReadOnlySpan<byte> payload)
    {
        Span<byte> header = stackalloc byte[FrameHeader.Size];
        new FrameHeader(payload.Length, type, flags, stream).Write(header);
        Write(header);
        Write(payload);
    }

    void Write(ReadOnlySpan<byte> bytes)
    {
        if (output.Length - queued < bytes.Length)
        {
            Array.Resize(ref output, Math.Max(output.Length * 2, queued + bytes.Length));
        }

        bytes.CopyTo(output.AsSpan(queued));
        queued += bytes.Length;
    }

    protected void Flush()
    {
        if (queued == 0 || Socket is not { IsOpen: true } socket)
        {
            return;
        }

        var sent = socket.Send(output.AsSpan(0, queued));
        if (sent < 0)
        {
            Close();
            return;
        }

        output.AsSpan(sent, queued - sent).CopyTo(output);
        queued -= sent;
    }

    protected virtual void Close()
    {
        Loop.Timers.Remove(this);
        Socket?.Close();
    }

    public override void OnDue()
    {
    }

    public override void Abandon() => Close();
}
