namespace Weir.Proxy.Http2;

/// <summary>What a frame that breaks a rule ends (RFC 9113 section 5.4).</summary>
public enum FrameErrorScope : byte
{
    None,
    Stream,
    Connection,
}

/// <summary>What has to be done about a frame: nothing, RST_STREAM, or GOAWAY and close.</summary>
public readonly record struct FrameVerdict(FrameErrorScope Scope, Http2ErrorCode Code)
{
    public bool IsValid => Scope == FrameErrorScope.None;
}

/// <summary>What is known before a frame comes.</summary>
/// <param name="IsServer">Whether the frame comes from a client.</param>
/// <param name="MaximumLength">Our SETTINGS_MAX_FRAME_SIZE.</param>
/// <param name="OpenBlock">The stream whose field block is not complete yet, or 0.</param>
/// <param name="IsFirst">No frame has come yet.</param>
public readonly record struct FrameContext(bool IsServer, int MaximumLength, int OpenBlock, bool IsFirst);

/// <summary>
/// The rules of RFC 9113 for which a frame's header is enough; those about a stream's state are the connection's. This proxy never
/// allows or makes pushes, so a stream with an even number is always idle.
/// </summary>
public static class FrameRules
{
    static readonly FrameVerdict ProtocolError = new(FrameErrorScope.Connection, Http2ErrorCode.ProtocolError);
    static readonly FrameVerdict FrameSizeError = new(FrameErrorScope.Connection, Http2ErrorCode.FrameSizeError);

    public static FrameVerdict Check(FrameHeader frame, FrameContext context)
    {
        // Section 4.2. Where it could be an error of the stream alone, a payload larger than any buffer would have to be read.
        if (frame.Length > context.MaximumLength)
        {
            return FrameSizeError;
        }

        // Section 3.4: the preface ends with SETTINGS.
        if (context.IsFirst && (frame.Type != FrameType.Settings || frame.IsAck))
        {
            return ProtocolError;
        }

        // Section 4.3: nothing may come between the frames of a field block, not even an unknown type (section 5.5).
        if (frame.Type == FrameType.Continuation ? context.OpenBlock == 0 || frame.StreamId != context.OpenBlock : context.OpenBlock != 0)
        {
            return ProtocolError;
        }

        return frame.Type switch
        {
            FrameType.Data or FrameType.Headers => CheckOfStream(frame, (frame.Flags & FrameFlags.Padded) != 0 ? 1 : 0, int.MaxValue),
            FrameType.Continuation => CheckOfStream(frame, 0, int.MaxValue),
            FrameType.Priority => CheckPriority(frame),
            FrameType.RstStream => CheckOfStream(frame, 4, 4),
            FrameType.Settings => CheckSettings(frame),

            // Section 8.4: a client cannot push, and we forbid servers to.
            FrameType.PushPromise => ProtocolError,
            FrameType.Ping => CheckOfConnection(frame, 8, 8),
            FrameType.GoAway => CheckOfConnection(frame, 8, int.MaxValue),
            FrameType.WindowUpdate => frame.StreamId == 0 ? CheckOfConnection(frame, 4, 4) : CheckOfStream(frame, 4, 4),
            _ => default,
        };
    }

    static FrameVerdict CheckOfStream(FrameHeader frame, int minimum, int maximum)
    {
        // An idle stream (section 5.1); a client opens odd ones alone (section 5.1.1).
        if (frame.StreamId == 0 || frame.StreamId % 2 == 0)
        {
            return ProtocolError;
        }

        if (frame.Type == FrameType.Headers && (frame.Flags & FrameFlags.Priority) != 0)
        {
            minimum += FramePayload.PrioritySize;
        }

        return frame.Length < minimum || frame.Length > maximum ? FrameSizeError : default;
    }

    static FrameVerdict CheckOfConnection(FrameHeader frame, int minimum, int maximum) =>
        frame.StreamId != 0 ? ProtocolError
        : frame.Length < minimum || frame.Length > maximum ? FrameSizeError
        : default;

    /// <summary>Section 6.3. It may come for a stream in any state, idle ones too.</summary>
    static FrameVerdict CheckPriority(FrameHeader frame) =>
        frame.StreamId == 0 ? ProtocolError
        : frame.Length != FramePayload.PrioritySize ? new FrameVerdict(FrameErrorScope.Stream, Http2ErrorCode.FrameSizeError)
        : default;

    /// <summary>Section 6.5.</summary>
    static FrameVerdict CheckSettings(FrameHeader frame) =>
        frame.StreamId != 0 ? ProtocolError
        : (frame.IsAck ? frame.Length != 0 : frame.Length % Http2Settings.EntrySize != 0) ? FrameSizeError
        : default;
}
