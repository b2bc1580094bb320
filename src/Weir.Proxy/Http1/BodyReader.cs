using Weir.Proxy.Http;

namespace Weir.Proxy.Http1;

/// <summary>
/// Finds the content in a stream of bytes, and its end, without copying. Chunk framing is checked strictly (RFC 9112 section 7.1), so that
/// what others could read otherwise is never taken for content.
/// </summary>
struct BodyReader
{
    /// <summary>Chunk extensions longer than this are refused.</summary>
    const int MaximumExtension = 8 * 1024;

    enum State : byte
    {
        Size,
        Extension,
        SizeLineFeed,
        Data,
        DataReturn,
        DataLineFeed,

        /// <summary>The last chunk is over: trailers or an empty line come.</summary>
        Trailers,
        Done,

        /// <summary>The framing is broken: nothing after this point can be trusted.</summary>
        Broken,
    }

    readonly BodyKind kind;
    State state;
    long left;
    int digits;
    int extension;

    public BodyReader(BodyKind kind, long contentLength)
    {
        this.kind = kind;
        left = kind == BodyKind.Length ? contentLength : 0;
        state = kind switch
        {
            BodyKind.None => State.Done,
            BodyKind.Length => left == 0 ? State.Done : State.Data,
            BodyKind.Chunked => State.Size,
            _ => State.Data,
        };
    }

    public readonly bool IsDone => state == State.Done;

    /// <summary>Content left of the stretch that is being read: of the chunk, or of the whole where its length is known.</summary>
    public readonly long Left => kind == BodyKind.UntilClose ? long.MaxValue : left;

    /// <summary>
    /// Looks at the bytes that come next. Framing at their beginning is done with; content behind it stays until
    /// <see cref="Consume"/>.
    /// </summary>
    /// <param name="framing">Bytes to drop.</param>
    /// <param name="content">Bytes of content behind those.</param>
    /// <param name="trailers">Where trailers are parsed into, with the bytes they lie in.</param>
    public ReadStatus Read(ReadOnlySpan<byte> bytes, out int framing, out int content, ref TrailerReader trailers)
    {
        framing = content = 0;
        while (state != State.Done)
        {
            if (state == State.Broken)
            {
                return ReadStatus.Failed;
            }

            if (state == State.Data)
            {
                content = (int)Math.Min(Left, bytes.Length - framing);
                return content > 0 ? ReadStatus.Content : ReadStatus.Wait;
            }

            if (state == State.Trailers)
            {
                var status = trailers.Read(bytes[framing..], out var length);
                framing += length;
                state = status == ReadStatus.End ? State.Done : status == ReadStatus.Failed ? State.Broken : state;
                return status;
            }

            if (framing == bytes.Length)
            {
                return ReadStatus.Wait;
            }

            if (!Step(bytes[framing++]))
            {
                state = State.Broken;
            }
        }

        return ReadStatus.End;
    }

    /// <summary>So much of the content is used up.</summary>
    public void Consume(int count)
    {
        if (kind == BodyKind.UntilClose)
        {
            return;
        }

        left -= count;
        if (left == 0)
        {
            state = kind == BodyKind.Chunked ? State.DataReturn : State.Done;
        }
    }

    /// <summary>The connection has ended.</summary>
    /// <returns>Whether the body had.</returns>
    public bool EndOfStream()
    {
        if (kind == BodyKind.UntilClose)
        {
            state = State.Done;
        }

        return state == State.Done;
    }

    bool Step(byte c)
    {
        switch (state)
        {
            case State.Size:
                return Size(c);
            case State.Extension:
                if (c == '\r')
                {
                    state = State.SizeLineFeed;
                    return true;
                }

                return c != '\n' && (c >= 32 || c == '\t') && c != 127 && ++extension <= MaximumExtension;
            case State.SizeLineFeed:
                state = left == 0 ? State.Trailers : State.Data;
                digits = 0;
                return c == '\n';
            case State.DataReturn:
                state = State.DataLineFeed;
                return c == '\r';
            default:
                state = State.Size;
                return c == '\n';
        }
    }

    bool Size(byte c)
    {
        if (char.IsAsciiHexDigit((char)c) && digits < 15)
        {
            left = (left << 4) | (uint)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
            digits++;
            return true;
        }

        extension = 0;
        state = c == ';' ? State.Extension : State.SizeLineFeed;
        return digits > 0 && (c is (byte)'\r' or (byte)';');
    }
}
