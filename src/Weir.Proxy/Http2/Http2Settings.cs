using System.Buffers.Binary;

namespace Weir.Proxy.Http2;

/// <summary>RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1.</summary>
public enum SettingId : ushort
{
    HeaderTableSize = 0x01,
    EnablePush = 0x02,
    MaxConcurrentStreams = 0x03,
    InitialWindowSize = 0x04,
    MaxFrameSize = 0x05,
    MaxHeaderListSize = 0x06,
    EnableConnectProtocol = 0x08,
    NoRfc7540Priorities = 0x09,
}

/// <summary>The settings of one side of a connection; without any frame they have their initial values.</summary>
public struct Http2Settings()
{
    /// <summary>The octets of one setting in a frame.</summary>
    public const int EntrySize = 6;

    public uint HeaderTableSize { get; private set; } = HpackDecoder.DefaultTableSize;

    public bool EnablePush { get; private set; } = true;

    /// <summary>Without limit at first.</summary>
    public uint MaxConcurrentStreams { get; private set; } = uint.MaxValue;

    public int InitialWindowSize { get; private set; } = FlowWindow.DefaultSize;

    public int MaxFrameSize { get; private set; } = FrameHeader.DefaultMaximumLength;

    /// <summary>Advisory, without limit at first.</summary>
    public uint MaxHeaderListSize { get; private set; } = uint.MaxValue;

    public bool EnableConnectProtocol { get; private set; }

    /// <summary>Applies the payload of a SETTINGS frame in its order; stops at the first error, which is one of the connection.</summary>
    public Http2ErrorCode ApplyAll(ReadOnlySpan<byte> payload, bool fromServer)
    {
        for (; payload.Length >= EntrySize; payload = payload[EntrySize..])
        {
            var id = (SettingId)BinaryPrimitives.ReadUInt16BigEndian(payload);
            var error = Apply(id, BinaryPrimitives.ReadUInt32BigEndian(payload[2..]), fromServer);
            if (error != Http2ErrorCode.NoError)
            {
                return error;
            }
        }

        return payload.IsEmpty ? Http2ErrorCode.NoError : Http2ErrorCode.FrameSizeError;
    }

    /// <summary>Unknown settings are ignored (RFC 9113 section 6.5.2).</summary>
    public Http2ErrorCode Apply(SettingId id, uint value, bool fromServer)
    {
        switch (id)
        {
            case SettingId.HeaderTableSize:
                HeaderTableSize = value;
                return Http2ErrorCode.NoError;

            // A server may say only that it does not take part (RFC 9113 section 6.5.2).
            case SettingId.EnablePush when value == 0 || (value == 1 && !fromServer):
                EnablePush = value == 1;
                return Http2ErrorCode.NoError;
            case SettingId.MaxConcurrentStreams:
                MaxConcurrentStreams = value;
                return Http2ErrorCode.NoError;
            case SettingId.InitialWindowSize when value <= FlowWindow.Maximum:
                InitialWindowSize = (int)value;
                return Http2ErrorCode.NoError;
            case SettingId.InitialWindowSize:
                return Http2ErrorCode.FlowControlError;
            case SettingId.MaxFrameSize when value is >= FrameHeader.DefaultMaximumLength and <= FrameHeader.MaximumLength:
                MaxFrameSize = (int)value;
                return Http2ErrorCode.NoError;
            case SettingId.MaxHeaderListSize:
                MaxHeaderListSize = value;
                return Http2ErrorCode.NoError;

            // It may not be taken back (RFC 8441 section 3).
            case SettingId.EnableConnectProtocol when value == 1 || (value == 0 && !EnableConnectProtocol):
                EnableConnectProtocol = value == 1;
                return Http2ErrorCode.NoError;
            case SettingId.EnablePush or SettingId.MaxFrameSize or SettingId.EnableConnectProtocol:
            case SettingId.NoRfc7540Priorities when value > 1:
                return Http2ErrorCode.ProtocolError;
            default:
                return Http2ErrorCode.NoError;
        }
    }

    /// <summary>Writes one setting into at least <see cref="EntrySize"/> octets.</summary>
    public static void Write(Span<byte> target, SettingId id, uint value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(target, (ushort)id);
        BinaryPrimitives.WriteUInt32BigEndian(target[2..], value);
    }
}
