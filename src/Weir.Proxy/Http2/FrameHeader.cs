using System.Buffers.Binary;

namespace Weir.Proxy.Http2;

/// <summary>RFC 9113 section 6; other types are ignored (section 4.1).</summary>
public enum FrameType : byte
{
    Data = 0x00,
    Headers = 0x01,
    Priority = 0x02,
    RstStream = 0x03,
    Settings = 0x04,
    PushPromise = 0x05,
    Ping = 0x06,
    GoAway = 0x07,
    WindowUpdate = 0x08,
    Continuation = 0x09,
}

/// <summary>What a bit means depends on the type.</summary>
[Flags]
public enum FrameFlags : byte
{
    None = 0,

    /// <summary>DATA, HEADERS.</summary>
    EndStream = 0x01,

    /// <summary>SETTINGS, PING.</summary>
    Ack = EndStream,

    /// <summary>HEADERS, PUSH_PROMISE, CONTINUATION.</summary>
    EndHeaders = 0x04,

    /// <summary>DATA, HEADERS, PUSH_PROMISE.</summary>
    Padded = 0x08,

    /// <summary>HEADERS.</summary>
    Priority = 0x20,
}

/// <summary>The nine octets before each frame's payload (RFC 9113 section 4.1).</summary>
public readonly record struct FrameHeader(int Length, FrameType Type, FrameFlags Flags, int StreamId)
{
    public const int Size = 9;

    /// <summary>The least that SETTINGS_MAX_FRAME_SIZE can be, and what it is at first.</summary>
    public const int DefaultMaximumLength = 1 << 14;

    public const int MaximumLength = (1 << 24) - 1;

    public bool IsEndStream => Type is FrameType.Data or FrameType.Headers && (Flags & FrameFlags.EndStream) != 0;

    public bool IsEndHeaders => (Flags & FrameFlags.EndHeaders) != 0;

    public bool IsAck => Type is FrameType.Settings or FrameType.Ping && (Flags & FrameFlags.Ack) != 0;

    /// <summary>False while there are fewer than nine octets. The reserved bit is ignored.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out FrameHeader header)
    {
        if (source.Length < Size)
        {
            header = default;
            return false;
        }

        var start = BinaryPrimitives.ReadUInt32BigEndian(source);
        var streamId = BinaryPrimitives.ReadUInt32BigEndian(source[5..]) & int.MaxValue;
        header = new FrameHeader((int)(start >> 8), (FrameType)(start & 0xff), (FrameFlags)source[4], (int)streamId);
        return true;
    }

    /// <summary>Into at least <see cref="Size"/> octets.</summary>
    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32BigEndian(target, ((uint)Length << 8) | (uint)Type);
        target[4] = (byte)Flags;
        BinaryPrimitives.WriteUInt32BigEndian(target[5..], (uint)StreamId);
    }
}
