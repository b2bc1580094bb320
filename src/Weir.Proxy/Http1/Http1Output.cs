using System.Buffers.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>
/// Writes messages to one connection. Small pieces are held back until <see cref="Flush"/>, so that a head and a short content leave in
/// one write; long content goes out from where it lies. Once a write has failed, nothing is written any more.
/// </summary>
struct Http1Output(EventLoop loop, TcpSocket socket)
{
    /// <summary>As much as a head may have.</summary>
    const int MaximumHead = 256 * 1024;

    /// <summary>Digits of a chunk's size and both line ends.</summary>
    const int ChunkOverhead = 20;

    OutputBuffer held = new(loop.Buffers, socket);
    int headStart;
    Framing framing;
    long left;

    /// <summary>A write failed.</summary>
    public readonly bool IsBroken => held.IsBroken;

    /// <summary>The message was written whole, or none was begun.</summary>
    public bool IsComplete { get; private set; } = true;

    /// <summary>At a message boundary: all that was begun is written, and the kernel has all of it.</summary>
    public readonly bool IsAtBoundary => IsComplete && held.IsEmpty && !IsBroken;

    public void BeginHead()
    {
        held.Rent();
        headStart = held.Length;
        IsComplete = false;
        isTooLarge = false;
    }

    bool isTooLarge;

    /// <summary>The content has ended, which only the end of the connection can tell: it is told behind the last byte.</summary>
    bool isEnding;

    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (MakeRoom(bytes.Length))
        {
            held.Write(bytes);
        }
    }

    public void Write(long number)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(number, digits, out var length);
        Write(digits[..length]);
    }

    public void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (MakeRoom(name.Length + value.Length + 4))
        {
            held.WriteField(name, value);
        }
    }

    bool MakeRoom(int needed)
    {
        var hasRoom = held.MakeRoom(needed, MaximumHead);
        isTooLarge |= !hasRoom;
        return hasRoom;
    }

    /// <summary>The head is written but for its empty line.</summary>
    /// <returns>False when it did not fit; it is gone then.</returns>
    public bool EndHead(Framing next, long length)
    {
        Write("\r\n"u8);
        if (isTooLarge)
        {
            held.Truncate(headStart);
            IsComplete = true;
            return false;
        }

        framing = next;
        left = next == Framing.Length ? length : 0;
        IsComplete = next == Framing.None || (next == Framing.Length && length == 0);
        return true;
    }

    /// <summary>The peer has agreed to a tunnel: what follows is no message any more.</summary>
    public void EndHeadOfTunnel()
    {
        framing = Framing.Close;
        IsComplete = false;
    }

    /// <returns>How much was taken, or -1 when nothing more can be sent.</returns>
    public int Send(ReadOnlySpan<byte> content)
    {
        if (IsBroken)
        {
            return -1;
        }

        switch (framing)
        {
            case Framing.Chunked:
                return SendChunk(content);
            case Framing.Length:
                if (content.Length > left)
                {
                    // More than was declared: the receiver would take the rest for another message.
                    held.Break();
                    return -1;
                }

                var taken = held.Send(content);
                left -= Math.Max(taken, 0);
                IsComplete = left == 0;
                return taken;
            case Framing.Close:
                return held.Send(content);
            default:
                return content.Length == 0 ? 0 : -1;
        }
    }

    int SendChunk(ReadOnlySpan<byte> content)
    {
        if (left == 0)
        {
            held.Rent();
            if (held.Room < ChunkOverhead + Math.Min(content.Length, OutputBuffer.Small) && Flush() != FlushStatus.Done)
            {
                return IsBroken ? -1 : 0;
            }

            held.Rent();
            held.WriteHex(content.Length);
            held.Write("\r\n"u8);
            left = content.Length;
        }

        var taken = held.Send(content[..(int)Math.Min(content.Length, left)]);
        if (taken < 0)
        {
            return taken;
        }

        left -= taken;
        if (left == 0)
        {
            held.Rent();
            MakeRoom(2);
            held.Write("\r\n"u8);
        }

        return taken;
    }

    /// <summary>The content is complete. Where it was declared longer, the connection cannot be used again.</summary>
    public void End(FieldBlock? trailers)
    {
        switch (framing)
        {
            case Framing.Chunked when left == 0:
                held.Rent();
                Write("0\r\n"u8);
                for (var i = 0; trailers is not null && i < trailers.Fields.Count; i++)
                {
                    Field(trailers.Fields[i].Name.Of(trailers.Bytes), trailers.Fields[i].Value.Of(trailers.Bytes));
                }

                Write("\r\n"u8);
                IsComplete = true;
                break;
            case Framing.None:
            case Framing.Length when left == 0:
                IsComplete = true;
                break;
            case Framing.Close:
                isEnding = true;
                break;
        }
    }

    public FlushStatus Flush()
    {
        var status = held.Flush();
        return status == FlushStatus.Done ? Flushed() : status;
    }

    FlushStatus Flushed()
    {
        if (isEnding)
        {
            isEnding = false;
            socket.ShutdownWrite();
        }

        return FlushStatus.Done;
    }

    /// <summary>For the next message; only at a boundary.</summary>
    public void Reset()
    {
        framing = Framing.None;
        IsComplete = true;
    }

    /// <summary>Lets go of what is held, sent or not.</summary>
    public void Release() => held.Release();
}
