using System.Buffers.Binary;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// What waits to be written on a connection: whole frames, in their order. Frames of all streams that were made in one turn leave in one
/// write.
/// </summary>
sealed class Http2Output(EventLoop loop, TcpSocket socket, int maximumControlFrames)
{
    /// <summary>Content is taken up to here, so that the peer's pace becomes the sender's.</summary>
    public const int HighWater = 64 * 1024;

    /// <summary>Frames that are not content, such as answers to PING, are a flood beyond this.</summary>
    const int Maximum = 1024 * 1024;

    byte[]? block;
    int start;
    int end;

    /// <summary>Where the last frame with content begins that has not been written, and of which stream; to mark it as the last.</summary>
    int lastData = -1;
    int lastDataStream;

    ControlFrames control;

    public int Pending => end - start;

    /// <summary>For content. Where many connections have much to write, each has to do with a medium block.</summary>
    public int Room => Math.Max(0, Limit - Pending);

    int Limit => loop.Buffers.HasLarge || block is { Length: > BufferPool.BufferSize } ? HighWater : BufferPool.BufferSize - FrameHeader.Size;

    /// <summary>A write failed, or the peer lets more pile up than it may.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The latter.</summary>
    public bool IsFlooded { get; private set; }

    /// <summary>Frames with content since the connection began.</summary>
    public long DataFrames { get; private set; }

    public void Data(int stream, ReadOnlySpan<byte> content)
    {
        var target = Reserve(FrameHeader.Size + content.Length);
        new FrameHeader(content.Length, FrameType.Data, FrameFlags.None, stream).Write(target);
        content.CopyTo(target[FrameHeader.Size..]);
        lastData = end;
        lastDataStream = stream;
        end += FrameHeader.Size + content.Length;
        DataFrames++;
    }

    /// <summary>Marks the stream's last frame of content as its end if it is still here, else writes an empty one.</summary>
    public void EndOfStream(int stream)
    {
        if (lastData >= start && lastDataStream == stream && Pending > 0)
        {
            block![lastData + 4] |= (byte)FrameFlags.EndStream;
        }
        else
        {
            new FrameHeader(0, FrameType.Data, FrameFlags.EndStream, stream).Write(Reserve(FrameHeader.Size));
            end += FrameHeader.Size;
        }

        lastData = -1;
    }

    public void Reset(int stream, Http2ErrorCode code)
    {
        Number(FrameType.RstStream, stream, (uint)code);
        CountControl();
    }

    public void WindowUpdate(int stream, int increment) => Number(FrameType.WindowUpdate, stream, (uint)increment);

    void Number(FrameType type, int stream, uint value)
    {
        var target = Reserve(FrameHeader.Size + 4);
        new FrameHeader(4, type, FrameFlags.None, stream).Write(target);
        BinaryPrimitives.WriteUInt32BigEndian(target[FrameHeader.Size..], value);
        end += FrameHeader.Size + 4;
    }

    public void Ping(ReadOnlySpan<byte> payload, bool isAck)
    {
        var target = Reserve(FrameHeader.Size + 8);
        new FrameHeader(8, FrameType.Ping, isAck ? FrameFlags.Ack : FrameFlags.None, 0).Write(target);
        payload[..8].CopyTo(target[FrameHeader.Size..]);
        end += FrameHeader.Size + 8;
        CountControl();
    }

    public void GoAway(int lastStream, Http2ErrorCode code)
    {
        var target = Reserve(FrameHeader.Size + 8);
        new FrameHeader(8, FrameType.GoAway, FrameFlags.None, 0).Write(target);
        BinaryPrimitives.WriteInt32BigEndian(target[FrameHeader.Size..], lastStream);
        BinaryPrimitives.WriteUInt32BigEndian(target[(FrameHeader.Size + 4)..], (uint)code);
        end += FrameHeader.Size + 8;
    }

    public void SettingsAck()
    {
        new FrameHeader(0, FrameType.Settings, FrameFlags.Ack, 0).Write(Reserve(FrameHeader.Size));
        end += FrameHeader.Size;
        CountControl();
    }

    public void Settings(params ReadOnlySpan<(SettingId Id, uint Value)> settings)
    {
        var target = Reserve(FrameHeader.Size + (settings.Length * Http2Settings.EntrySize));
        new FrameHeader(settings.Length * Http2Settings.EntrySize, FrameType.Settings, FrameFlags.None, 0).Write(target);
        for (var i = 0; i < settings.Length; i++)
        {
            Http2Settings.Write(target[(FrameHeader.Size + (i * Http2Settings.EntrySize))..], settings[i].Id, settings[i].Value);
        }

        end += FrameHeader.Size + (settings.Length * Http2Settings.EntrySize);
    }

    public void Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Reserve(bytes.Length));
        end += bytes.Length;
    }

    /// <summary>Begins a field block; its frame's header is written by <see cref="EndHead"/>.</summary>
    public int BeginHead()
    {
        Reserve(FrameHeader.Size + 256);
        var at = end - start;
        end += FrameHeader.Size;
        return at;
    }

    public void Field(HpackEncoder encoder, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        // What is encoded changes the peer's table, so there is always room made for it.
        var room = 64;
        int written;
        while (!encoder.TryWrite(name, value, Reserve(room), out written))
        {
            room = Math.Max(block!.Length - end, room) + name.Length + value.Length + 64;
        }

        end += written;
    }

    /// <summary>Writes the frame's header, and cuts a block that is longer than a frame may be into several.</summary>
    public void EndHead(int at, int stream, bool endsStream, int maximumFrame)
    {
        var from = start + at + FrameHeader.Size;
        var length = end - from;
        var flags = endsStream ? FrameFlags.EndStream : FrameFlags.None;
        if (length <= maximumFrame)
        {
            new FrameHeader(length, FrameType.Headers, flags | FrameFlags.EndHeaders, stream).Write(block.AsSpan(start + at));
            return;
        }

        var whole = block.AsSpan(from, length).ToArray();
        end = start + at;
        var type = FrameType.Headers;
        for (var sent = 0; sent < whole.Length; type = FrameType.Continuation)
        {
            var piece = Math.Min(maximumFrame, whole.Length - sent);
            var target = Reserve(FrameHeader.Size + piece);
            var isLast = sent + piece == whole.Length;
            new FrameHeader(piece, type, (type == FrameType.Headers ? flags : FrameFlags.None) | (isLast ? FrameFlags.EndHeaders : FrameFlags.None), stream).Write(target);
            whole.AsSpan(sent, piece).CopyTo(target[FrameHeader.Size..]);
            end += FrameHeader.Size + piece;
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

    Span<byte> Reserve(int length)
    {
        if (block is null)
        {
            block = loop.Buffers.Rent();
            start = end = 0;
        }

        if (block.Length - end < length)
        {
            MakeRoom(length);
        }

        return block.AsSpan(end);
    }

    void MakeRoom(int length)
    {
        var pending = Pending;
        IsFlooded |= pending > Maximum;
        IsBroken |= IsFlooded;
        lastData = lastData >= start ? lastData - start : -1;
        if (start > 0 && block!.Length - pending >= length && start >= block.Length / 2)
        {
            block.AsSpan(start, pending).CopyTo(block);
        }
        else
        {
            var needed = pending + length;
            var larger = needed <= BufferPool.BufferSize ? loop.Buffers.Rent()
                : (needed <= BufferPool.LargeSize ? loop.Buffers.TryRentLarge() : null) ?? loop.Buffers.RentUnusual(needed * 2);
            block.AsSpan(start, pending).CopyTo(larger);
            loop.Buffers.Return(block!);
            block = larger;
        }

        start = 0;
        end = pending;
    }

    bool hasFlushed;

    /// <returns>Whether something was written since it was last asked.</returns>
    public bool Flush()
    {
        var before = hasFlushed;
        hasFlushed = false;
        if (Pending == 0 || IsBroken)
        {
            return before;
        }

        var sent = socket.Send(block.AsSpan(start, Pending));
        if (sent < 0)
        {
            IsBroken = true;
            return before;
        }

        start += sent;
        control.OnSent(sent, Pending);
        if (start == end)
        {
            Release();
        }
        else
        {
            // TLS may have encrypted what it could not write yet: nothing of it may change any more.
            lastData = -1;
        }

        return before || sent > 0;
    }

    public void Release()
    {
        start = end = 0;
        lastData = -1;
        if (block is { } held)
        {
            block = null;
            loop.Buffers.Return(held);
        }
    }
}
