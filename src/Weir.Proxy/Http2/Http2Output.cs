using System.Buffers.Binary;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// Writes the frames of a connection, whole and in their order. Frames of all streams that were made in one turn leave in one write.
/// </summary>
sealed class Http2Output(EventLoop loop, TcpSocket socket, int maximumControlFrames)
{
    /// <summary>Content is taken up to here, so that the peer's pace becomes the sender's.</summary>
    public const int HighWater = 64 * 1024;

    /// <summary>Frames that are not content, such as answers to PING, are a flood beyond this.</summary>
    const int Maximum = 1024 * 1024;

    WriteBuffer held = new(loop.Buffers);

    /// <summary>Where among the bytes that wait the last frame with content begins, and of which stream it is; to mark it as the last.</summary>
    int lastData = -1;
    int lastDataStream;

    ControlFrames control;
    bool hasFlushed;

    /// <summary>Bytes that wait to be written.</summary>
    public int Pending => held.Length;

    /// <summary>For content. Where many connections have much to write, each has to do with a medium block.</summary>
    public int Room => Math.Max(0, Limit - Pending);

    int Limit => loop.Buffers.HasLarge || held.Capacity > BufferPool.BufferSize ? HighWater : BufferPool.BufferSize - FrameHeader.Size;

    /// <summary>A write failed, or the peer lets more pile up than it may.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The latter.</summary>
    public bool IsFlooded { get; private set; }

    /// <summary>Frames with content since the connection began.</summary>
    public long DataFrames { get; private set; }

    public void Data(int stream, ReadOnlySpan<byte> content)
    {
        var payload = Begin(new FrameHeader(content.Length, FrameType.Data, FrameFlags.None, stream));
        content.CopyTo(payload);
        lastData = held.Length;
        lastDataStream = stream;
        held.Add(FrameHeader.Size + content.Length);
        DataFrames++;
    }

    /// <summary>Marks the stream's last frame of content as its end if it is still here, else writes an empty one.</summary>
    public void EndOfStream(int stream)
    {
        if (lastData >= 0 && lastDataStream == stream)
        {
            held.Unsent[lastData + 4] |= (byte)FrameFlags.EndStream;
        }
        else
        {
            Empty(FrameType.Data, FrameFlags.EndStream, stream);
        }

        lastData = -1;
    }

    public void Reset(int stream, Http2ErrorCode code)
    {
        Number(FrameType.RstStream, stream, (uint)code);
        CountControl();
    }

    public void WindowUpdate(int stream, int increment) => Number(FrameType.WindowUpdate, stream, (uint)increment);

    public void Ping(ReadOnlySpan<byte> data, bool isAck)
    {
        data[..8].CopyTo(Begin(new FrameHeader(8, FrameType.Ping, isAck ? FrameFlags.Ack : FrameFlags.None, 0)));
        held.Add(FrameHeader.Size + 8);
        CountControl();
    }

    public void GoAway(int lastStream, Http2ErrorCode code)
    {
        var payload = Begin(new FrameHeader(8, FrameType.GoAway, FrameFlags.None, 0));
        BinaryPrimitives.WriteInt32BigEndian(payload, lastStream);
        BinaryPrimitives.WriteUInt32BigEndian(payload[4..], (uint)code);
        held.Add(FrameHeader.Size + 8);
    }

    public void SettingsAck()
    {
        Empty(FrameType.Settings, FrameFlags.Ack, 0);
        CountControl();
    }

    public void Settings(params ReadOnlySpan<(SettingId Id, uint Value)> settings)
    {
        var length = settings.Length * Http2Settings.EntrySize;
        var payload = Begin(new FrameHeader(length, FrameType.Settings, FrameFlags.None, 0));
        for (var i = 0; i < settings.Length; i++)
        {
            Http2Settings.Write(payload[(i * Http2Settings.EntrySize)..], settings[i].Id, settings[i].Value);
        }

        held.Add(FrameHeader.Size + length);
    }

    /// <summary>What a client says first.</summary>
    public void Preface()
    {
        Reserve(FrameReader.Preface.Length);
        held.Add(FrameReader.Preface);
    }

    void Number(FrameType type, int stream, uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(Begin(new FrameHeader(4, type, FrameFlags.None, stream)), value);
        held.Add(FrameHeader.Size + 4);
    }

    void Empty(FrameType type, FrameFlags flags, int stream)
    {
        Begin(new FrameHeader(0, type, flags, stream));
        held.Add(FrameHeader.Size);
    }

    /// <summary>Writes a frame's header where it will lie, before it is added.</summary>
    /// <returns>At least as much room behind it as its payload takes.</returns>
    Span<byte> Begin(FrameHeader header)
    {
        var target = Reserve(FrameHeader.Size + header.Length);
        header.Write(target);
        return target[FrameHeader.Size..];
    }

    /// <summary>Begins a field block: the header of its frame is written by <see cref="EndBlock"/>, and nothing else until then.</summary>
    /// <returns>What identifies it.</returns>
    public int BeginBlock()
    {
        Reserve(FrameHeader.Size + 256);
        var at = held.Length;
        held.Add(FrameHeader.Size);
        return at;
    }

    /// <summary>Room for the next of a field block, which <see cref="Add"/> makes a part of it.</summary>
    public Span<byte> Reserve(int length)
    {
        held.Rent();
        if (held.Room.Length < length)
        {
            IsFlooded |= held.Length > Maximum;
            IsBroken |= IsFlooded;
            held.Grow(length);
        }

        return held.Room;
    }

    public void Add(int count) => held.Add(count);

    /// <summary>Writes the frame's header, and cuts a block that is longer than a frame may be into several.</summary>
    public void EndBlock(int at, int stream, bool endsStream, int maximumFrame)
    {
        var length = held.Length - at - FrameHeader.Size;
        var flags = endsStream ? FrameFlags.EndStream : FrameFlags.None;
        if (length <= maximumFrame)
        {
            new FrameHeader(length, FrameType.Headers, flags | FrameFlags.EndHeaders, stream).Write(held.Unsent[at..]);
            return;
        }

        var whole = held.Unsent[(at + FrameHeader.Size)..].ToArray();
        held.Truncate(at);
        var type = FrameType.Headers;
        for (var sent = 0; sent < whole.Length; type = FrameType.Continuation, flags = FrameFlags.None)
        {
            var piece = Math.Min(maximumFrame, whole.Length - sent);
            var isLast = sent + piece == whole.Length;
            var payload = Begin(new FrameHeader(piece, type, flags | (isLast ? FrameFlags.EndHeaders : FrameFlags.None), stream));
            whole.AsSpan(sent, piece).CopyTo(payload);
            held.Add(FrameHeader.Size + piece);
            sent += piece;
        }
    }

    /// <summary>A frame that the peer has made us send.</summary>
    void CountControl()
    {
        if (control.Add() > maximumControlFrames)
        {
            // A burst is no flood: only what the peer does not read counts.
            hasFlushed |= Flush();
            IsFlooded |= control.Count > maximumControlFrames;
            IsBroken |= IsFlooded;
        }
    }

    /// <returns>Whether something was written since it was last asked.</returns>
    public bool Flush()
    {
        var before = hasFlushed;
        hasFlushed = false;
        if (Pending == 0 || IsBroken)
        {
            return before;
        }

        // Where not all was written: TLS may have encrypted what it could not write yet, nothing of it may change any more.
        lastData = -1;
        var sent = held.Send(socket);
        if (sent < 0)
        {
            IsBroken = true;
            return before;
        }

        control.OnSent(sent, Pending);
        return before || sent > 0;
    }

    public void Release()
    {
        lastData = -1;
        held.Release();
    }
}
