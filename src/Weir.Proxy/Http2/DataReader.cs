using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>Brings DATA frames to their streams, each as it comes and not only when it is whole (RFC 9113 section 6.1).</summary>
struct DataReader(Http2Session session)
{
    int stream;
    int left;
    int padding;
    bool isEnd;

    /// <summary>In the middle of a frame.</summary>
    public readonly bool IsOpen => stream != 0;

    /// <summary>There is nothing to read of the frame that is open.</summary>
    public readonly bool Needs(in ReadBuffer input) => input.IsEmpty && (left > 0 || padding > 0);

    /// <summary>What has to have come of a frame before <see cref="Begin"/>: the length of its padding.</summary>
    public static int Needed(FrameHeader frame) => (frame.Flags & FrameFlags.Padded) != 0 ? 1 : 0;

    /// <summary>A frame's header has been read, and no more.</summary>
    /// <returns>The connection's error.</returns>
    public Http2ErrorCode Begin(FrameHeader frame, ref ReadBuffer input)
    {
        var overhead = Needed(frame);
        var padded = 0;
        if (overhead > 0)
        {
            padded = input.Unread[0];
            input.Skip(overhead);
            if (padded >= frame.Length)
            {
                return Http2ErrorCode.ProtocolError;
            }
        }

        if (session.IsIdle(frame.StreamId))
        {
            return Http2ErrorCode.ProtocolError;
        }

        var length = frame.Length - padded - overhead;
        var state = session.Streams.Find(frame.StreamId);
        if (length > 0)
        {
            session.Floods.CountContent();
        }
        else if ((!frame.IsEndStream || state is null) && !session.Floods.TryEmptyFrame())
        {
            return Http2ErrorCode.EnhanceYourCalm;
        }

        if (!session.Flow.TryReceive(frame.Length))
        {
            return Http2ErrorCode.FlowControlError;
        }

        (stream, left, padding, isEnd) = (frame.StreamId, length, padded, frame.IsEndStream);
        session.Flow.Credit(padded + overhead);
        if (state is null)
        {
            // A server goes on sending until it has read our RST_STREAM. A client cannot: there are few that we reset.
            return !session.IsServer || session.Streams.WasReset(stream) ? Http2ErrorCode.NoError : Http2ErrorCode.StreamClosed;
        }

        return padded + overhead > 0 ? Apply(state, state.OnData([], 0, 0, padded + overhead)) : Http2ErrorCode.NoError;
    }

    /// <summary>Passes on what has come of the frame.</summary>
    public Http2ErrorCode Read(ref ReadBuffer input)
    {
        var length = Math.Min(left, input.Unread.Length);
        left -= length;
        var padded = left == 0 ? Math.Min(padding, input.Unread.Length - length) : 0;
        padding -= padded;
        var id = stream;
        var isLast = left == 0 && padding == 0;
        stream = isLast ? 0 : stream;
        var error = Http2ErrorCode.NoError;
        if (session.Streams.Find(id) is not { } state)
        {
            session.Flow.Credit(length);
        }
        else if (state.OnData(input.Block, input.Position, length, length, isEnd && isLast) is var wrong and not Http2ErrorCode.NoError)
        {
            session.Flow.Credit(length);
            error = Apply(state, wrong);
        }

        input.Skip(length + padded);
        return error;
    }

    readonly Http2ErrorCode Apply(StreamState state, Http2ErrorCode error) =>
        error == Http2ErrorCode.NoError ? error : session.OnStreamError(state.Id, error);
}
