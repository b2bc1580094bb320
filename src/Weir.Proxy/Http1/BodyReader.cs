using System.Buffers.Binary;

namespace Weir.Proxy.Http1;

/// <summary>
/// Finds the end of a message body in a stream of bytes, without copying: it says how many of the bytes at hand belong to the body.
/// Chunk framing is checked strictly (RFC 9112 section 7.1), so that what is passed on unchanged cannot be read otherwise by others.
/// </summary>
public struct BodyReader
{
    /// <summary>Extensions and trailers longer than this are refused.</summary>
    const int MaximumLine = 8 * 1024;

    enum State : byte
    {
        Size,
        Extension,
        SizeLineFeed,
        Data,
        DataReturn,
        DataLineFeed,
        TrailerStart,
        TrailerName,
        Trailer,
        TrailerLineFeed,
        EndLineFeed,
        Done,
    }

    BodyKind kind;
    State state;
    long left;
    int digits;
    int lineLength;
    TrailerName name;

    /// <summary>The beginning of a trailer's name, in lower case: as much of it as the longest of those that matter has.</summary>
    struct TrailerName
    {
        ulong first;
        ulong second;
        ulong third;
        int length;

        /// <returns>False when the byte may not stand in a name.</returns>
        public bool Append(byte c)
        {
            var lower = char.IsAsciiLetterUpper((char)c) ? (ulong)(c | 0x20) : c;
            switch (length / 8)
            {
                case 0:
                    first |= lower << (length * 8);
                    break;
                case 1:
                    second |= lower << ((length - 8) * 8);
                    break;
                case 2:
                    third |= lower << ((length - 16) * 8);
                    break;
            }

            length++;
            return HeadParser.IsToken(c);
        }

        /// <summary>Says how long a message is, where it goes, or what becomes of the connection (RFC 9110 section 6.5.1).</summary>
        public readonly bool IsOfFraming
        {
            get
            {
                Span<byte> text = stackalloc byte[24];
                BinaryPrimitives.WriteUInt64LittleEndian(text, first);
                BinaryPrimitives.WriteUInt64LittleEndian(text[8..], second);
                BinaryPrimitives.WriteUInt64LittleEndian(text[16..], third);
                var name = (ReadOnlySpan<byte>)text[..Math.Min(length, 24)];
                return length switch
                {
                    2 => name.SequenceEqual("te"u8),
                    4 => name.SequenceEqual("host"u8),
                    7 => name.SequenceEqual("upgrade"u8) || name.SequenceEqual("trailer"u8),
                    10 => name.SequenceEqual("connection"u8) || name.SequenceEqual("keep-alive"u8),
                    14 => name.SequenceEqual("content-length"u8),
                    16 => name.SequenceEqual("proxy-connection"u8),
                    17 => name.SequenceEqual("transfer-encoding"u8),
                    _ => false,
                };
            }
        }
    }

    public BodyReader(BodyKind kind, long contentLength)
    {
        this.kind = kind;
        left = kind == BodyKind.Length ? contentLength : 0;
        state = State.Size;
        digits = 0;
        lineLength = 0;
        name = default;
    }

    public readonly bool IsDone => kind switch
    {
        BodyKind.None => true,
        BodyKind.Length => left == 0,
        BodyKind.Chunked => state == State.Done,
        _ => false,
    };

    /// <summary>The framing is broken: nothing after this point can be trusted.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>How many bytes at the start of <paramref name="bytes"/> belong to the body with its framing.</summary>
    public int Advance(ReadOnlySpan<byte> bytes)
    {
        switch (kind)
        {
            case BodyKind.None:
                return 0;
            case BodyKind.Length:
                var taken = (int)Math.Min(left, bytes.Length);
                left -= taken;
                return taken;
            case BodyKind.UntilClose:
                return bytes.Length;
            default:
                var at = 0;
                while (at < bytes.Length && state != State.Done && !IsBroken)
                {
                    at += Step(bytes[at..], out _);
                }

                return at;
        }
    }

    /// <summary>
    /// As <see cref="Advance"/>, but stops after one stretch of content, for receivers that do not know chunks.
    /// </summary>
    /// <param name="content">The content among the bytes taken; may be empty.</param>
    public int AdvanceContent(ReadOnlySpan<byte> bytes, out Slice content)
    {
        content = default;
        if (kind != BodyKind.Chunked)
        {
            var taken = Advance(bytes);
            content = new Slice(0, taken);
            return taken;
        }

        var at = 0;
        while (at < bytes.Length && state != State.Done && !IsBroken)
        {
            var step = Step(bytes[at..], out var isContent);
            if (isContent)
            {
                content = new Slice(at, step);
                return at + step;
            }

            at += step;
        }

        return at;
    }

    int Step(ReadOnlySpan<byte> bytes, out bool isContent)
    {
        isContent = false;
        var c = bytes[0];
        switch (state)
        {
            case State.Size:
                var digit = char.IsAsciiHexDigit((char)c) ? Convert(c) : -1;
                if (digit >= 0 && digits < 15)
                {
                    left = (left << 4) | (uint)digit;
                    digits++;
                }
                else if (digits > 0 && c == '\r')
                {
                    state = State.SizeLineFeed;
                }
                else if (digits > 0 && c == ';')
                {
                    state = State.Extension;
                    lineLength = 0;
                }
                else
                {
                    IsBroken = true;
                }

                return 1;
            case State.Extension:
                if (c == '\r')
                {
                    state = State.SizeLineFeed;
                }
                else if (c == '\n' || (c < 32 && c != '\t') || c == 127 || ++lineLength > MaximumLine)
                {
                    IsBroken = true;
                }

                return 1;
            case State.SizeLineFeed:
                Expect(c, '\n', left == 0 ? State.TrailerStart : State.Data);
                digits = 0;
                return 1;
            case State.Data:
                var taken = (int)Math.Min(left, bytes.Length);
                left -= taken;
                isContent = true;
                if (left == 0)
                {
                    state = State.DataReturn;
                }

                return taken;
            case State.DataReturn:
                Expect(c, '\r', State.DataLineFeed);
                return 1;
            case State.DataLineFeed:
                Expect(c, '\n', State.Size);
                return 1;
            case State.TrailerStart:
                name = default;
                lineLength = 0;
                state = c == '\r' ? State.EndLineFeed : State.TrailerName;
                IsBroken |= c != '\r' && !name.Append(c);
                return 1;
            case State.TrailerName:
                if (c != ':')
                {
                    IsBroken |= !name.Append(c) || ++lineLength > MaximumLine;
                }
                else
                {
                    // One that some recipient might merge into the head, and read the message otherwise by.
                    IsBroken |= name.IsOfFraming;
                    state = State.Trailer;
                }

                return 1;
            case State.Trailer:
                if (c == '\r')
                {
                    state = State.TrailerLineFeed;
                }
                else if (c == '\n' || (c < 32 && c != '\t') || c == 127 || ++lineLength > MaximumLine)
                {
                    IsBroken = true;
                }

                return 1;
            case State.TrailerLineFeed:
                Expect(c, '\n', State.TrailerStart);
                return 1;
            default:
                Expect(c, '\n', State.Done);
                return 1;
        }
    }

    void Expect(byte actual, char expected, State next)
    {
        if (actual == expected)
        {
            state = next;
        }
        else
        {
            IsBroken = true;
        }
    }

    static int Convert(byte c) => c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}
