using System.Buffers.Binary;

namespace Weir.Xds.Http2;

/// <summary>Frame types of RFC 9113 section 6.</summary>
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

/// <summary>A frame's header: nine bytes before each payload.</summary>
readonly record struct Http2Frame(FrameType Type, byte Flags, int Stream, int Length)
{
    public const int HeaderLength = 9;

    /// <summary>The largest payload either side may send: neither raises SETTINGS_MAX_FRAME_SIZE above its initial value.</summary>
    public const int MaximumPayload = 16 * 1024;

    public const byte EndStream = 0x1;
    public const byte Acknowledge = 0x1;
    public const byte EndHeaders = 0x4;
    public const byte Padded = 0x8;
    public const byte HasPriority = 0x20;

    public bool Has(byte flag) => (Flags & flag) != 0;

    public static Http2Frame Parse(ReadOnlySpan<byte> header) => new(
        (FrameType)header[3], header[4], BinaryPrimitives.ReadInt32BigEndian(header[5..]) & int.MaxValue, (header[0] << 16) | (header[1] << 8) | header[2]);

    /// <summary>Writes the header; the payload follows at <see cref="HeaderLength"/>.</summary>
    public void WriteTo(Span<byte> target)
    {
        target[0] = (byte)(Length >> 16);
        target[1] = (byte)(Length >> 8);
        target[2] = (byte)Length;
        target[3] = (byte)Type;
        target[4] = Flags;
        BinaryPrimitives.WriteInt32BigEndian(target[5..], Stream);
    }

    /// <summary>What RFC 9113 says of the length and the stream of each frame that a server may send on a connection with one stream.</summary>
    public bool IsWellFormed(int onlyStream)
    {
        const int settingLength = 6;
        const int pingLength = 8;
        const int leastGoAway = 8;
        return Type switch
        {
            FrameType.Data or FrameType.Headers or FrameType.Continuation => Stream == onlyStream,
            FrameType.ResetStream => Stream == onlyStream && Length == sizeof(int),
            FrameType.WindowUpdate => Length == sizeof(int),
            FrameType.Settings => Stream == 0 && (Has(Acknowledge) ? Length == 0 : Length % settingLength == 0),
            FrameType.Ping => Stream == 0 && Length == pingLength,
            FrameType.GoAway => Stream == 0 && Length >= leastGoAway,
            FrameType.PushPromise => false,
            _ => true,
        };
    }

    /// <summary>The payload without padding and, of HEADERS, without priority.</summary>
    /// <exception cref="InvalidDataException">There is more padding than payload.</exception>
    public ReadOnlySpan<byte> Content(ReadOnlySpan<byte> payload)
    {
        var padding = 0;
        if (Has(Padded))
        {
            padding = payload.Length > 0 ? payload[0] : throw new InvalidDataException($"the control plane's {Type} frame is too short for its padding");
            payload = payload[1..];
        }

        var priority = Type == FrameType.Headers && Has(HasPriority) ? 5 : 0;
        return padding + priority <= payload.Length ? payload[priority..^padding]
            : throw new InvalidDataException($"the control plane's {Type} frame is too short for its padding");
    }
}
