using System.Buffers.Binary;

namespace Weir.Proxy.Http2;

/// <summary>Reads and writes the payloads of frames whose headers have passed <see cref="FrameRules"/>.</summary>
public static class FramePayload
{
    /// <summary>The fields that the PRIORITY flag adds to HEADERS (RFC 9113 section 6.2); they are ignored (section 5.3.2).</summary>
    public const int PrioritySize = 5;

    /// <summary>
    /// The content of DATA, or the field block fragment of HEADERS, in the payload. False: a connection error PROTOCOL_ERROR, the padding
    /// is as long as what is left for it or longer (RFC 9113 sections 6.1 and 6.2).
    /// </summary>
    public static bool TryUnpad(FrameHeader frame, ReadOnlySpan<byte> payload, out ReadOnlySpan<byte> content)
    {
        content = payload;
        var padding = 0;
        if ((frame.Flags & FrameFlags.Padded) != 0)
        {
            if (content.IsEmpty)
            {
                return false;
            }

            padding = content[0];
            content = content[1..];
        }

        if (frame.Type == FrameType.Headers && (frame.Flags & FrameFlags.Priority) != 0)
        {
            if (content.Length < PrioritySize)
            {
                return false;
            }

            content = content[PrioritySize..];
        }

        if (padding > content.Length)
        {
            return false;
        }

        content = content[..^padding];
        return true;
    }

    /// <summary>
    /// The increment of WINDOW_UPDATE. 0 is PROTOCOL_ERROR, of the connection on stream 0 and else of the stream (RFC 9113 section 6.9).
    /// </summary>
    public static int ReadIncrement(ReadOnlySpan<byte> payload) => (int)(BinaryPrimitives.ReadUInt32BigEndian(payload) & int.MaxValue);

    /// <summary>The error code of RST_STREAM; unknown ones count as they are (RFC 9113 section 7).</summary>
    public static Http2ErrorCode ReadErrorCode(ReadOnlySpan<byte> payload) => (Http2ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(payload);

    /// <summary>The last stream of GOAWAY and why; debug data may follow.</summary>
    public static (int LastStreamId, Http2ErrorCode Code) ReadGoAway(ReadOnlySpan<byte> payload) =>
        ((int)(BinaryPrimitives.ReadUInt32BigEndian(payload) & int.MaxValue), ReadErrorCode(payload[4..]));
}
