using System.Buffers.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>How the receiver finds the end of what is sent.</summary>
enum Framing : byte
{
    /// <summary>Nothing follows the head.</summary>
    None,
    Length,
    Chunked,

    /// <summary>By the end of the connection: HTTP/1.0, and tunnels.</summary>
    Close,
}

/// <summary>
/// Writes messages to one connection. Small pieces are held back until <see cref="Flush"/>, so that a head and a short content leave in
/// one write; long content goes out from where it lies. Once a write has failed, nothing is written any more.
/// </summary>
struct Http1Output(EventLoop loop, TcpSocket socket)
{
    /// <summary>As much as a head may have.</summary>
    const int MaximumHead = 256 * 1024;

    /// <summary>Content up to this length is copied behind what is held back.</summary>
    const int Small = 2 * 1024;

    /// <summary>Digits of a chunk's size and both line ends.</summary>
    const int ChunkOverhead = 20;

    byte[]? block;
    int start;
    int end;
    int headStart;
    Framing framing;
    long left;

    /// <summary>A write failed.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The message was written whole, or none was begun.</summary>
    public bool IsComplete { get; private set; } = true;

    /// <summary>At a message boundary: all that was begun is written, and the kernel has all of it.</summary>
    public readonly bool IsAtBoundary => IsComplete && start == end && !IsBroken;

    public readonly bool IsFlushed => start == end;

    /// <summary>Forgets the head that was begun, or a head that did not fit.</summary>
    public void DropHead()
    {
        end = headStart;
        IsComplete = true;
    }

    public void BeginHead()
    {
        block ??= loop.Buffers.Rent();
        headStart = end;
        IsComplete = false;
        isTooLarge = false;
    }

    bool isTooLarge;

    /// <summary>The content has ended, which only the end of the connection can tell: it is told behind the last byte.</summary>
    bool isEnding;

    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (block!.Length - end < bytes.Length && !Grow(bytes.Length))
        {
            return;
        }

        bytes.CopyTo(block.AsSpan(end));
        end += bytes.Length;
    }

    public void Write(long number)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(number, digits, out var length);
        Write(digits[..length]);
    }

    public void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var needed = name.Length + value.Length + 4;
        if (block!.Length - end < needed && !Grow(needed))
        {
            return;
        }

        var target = block.AsSpan(end, needed);
        name.CopyTo(target);
        target[name.Length] = (byte)':';
        target[name.Length + 1] = (byte)' ';
        value.CopyTo(target[(name.Length + 2)..]);
        target[^2] = (byte)'\r';
        target[^1] = (byte)'\n';
        end += needed;
    }

    bool Grow(int needed)
    {
        var size = Math.Max(block!.Length * 2, end + needed);
        if (size > MaximumHead)
        {
            isTooLarge = true;
            return false;
        }

        var larger = loop.Buffers.RentUnusual(size);
        block.AsSpan(0, end).CopyTo(larger);
        loop.Buffers.Return(block);
        block = larger;
        return true;
    }

    /// <summary>The head is written but for its empty line.</summary>
    /// <returns>False when it did not fit; it is gone then.</returns>
    public bool EndHead(Framing next, long length)
    {
        Write("\r\n"u8);
        if (isTooLarge)
        {
            DropHead();
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
                    IsBroken = true;
                    return -1;
                }

                var taken = SendBytes(content);
                left -= Math.Max(taken, 0);
                IsComplete = left == 0;
                return taken;
            case Framing.Close:
                return SendBytes(content);
            default:
                return content.Length == 0 ? 0 : -1;
        }
    }

    int SendChunk(ReadOnlySpan<byte> content)
    {
        if (left == 0)
        {
            block ??= loop.Buffers.Rent();
            if (block.Length - end < ChunkOverhead + Math.Min(content.Length, Small) && Flush() != FlushStatus.Done)
            {
                return IsBroken ? -1 : 0;
            }

            block ??= loop.Buffers.Rent();
            Utf8Formatter.TryFormat((long)content.Length, block.AsSpan(end), out var digits, new System.Buffers.StandardFormat('x'));
            end += digits;
            block[end++] = (byte)'\r';
            block[end++] = (byte)'\n';
            left = content.Length;
        }

        var taken = SendBytes(content[..(int)Math.Min(content.Length, left)]);
        if (taken < 0)
        {
            return taken;
        }

        left -= taken;
        if (left == 0)
        {
            block ??= loop.Buffers.Rent();
            if (block.Length - end < 2)
            {
                Grow(2);
            }

            block[end++] = (byte)'\r';
            block[end++] = (byte)'\n';
        }

        return taken;
    }

    int SendBytes(ReadOnlySpan<byte> content)
    {
        var held = end - start;
        if (content.Length <= Small || held > 0)
        {
            block ??= loop.Buffers.Rent();

            // Room is kept for what ends a chunk.
            var copied = Math.Min(content.Length, Math.Max(0, block.Length - end - 2));
            content[..copied].CopyTo(block.AsSpan(end));
            end += copied;
            if (copied == content.Length)
            {
                return copied;
            }

            if (Flush() == FlushStatus.Broken)
            {
                return -1;
            }

            if (start != end)
            {
                return copied;
            }

            return SendDirectly(content[copied..]) is >= 0 and var more ? copied + more : -1;
        }

        return SendDirectly(content);
    }

    int SendDirectly(ReadOnlySpan<byte> content)
    {
        var sent = socket.Send(content);
        if (sent < 0)
        {
            IsBroken = true;
            return -1;
        }

        return sent;
    }

    /// <summary>The content is complete. Where it was declared longer, the connection cannot be used again.</summary>
    public void End(FieldBlock? trailers)
    {
        switch (framing)
        {
            case Framing.Chunked when left == 0:
                block ??= loop.Buffers.Rent();
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
        if (IsBroken)
        {
            return FlushStatus.Broken;
        }

        if (start == end)
        {
            return Flushed();
        }

        var sent = socket.Send(block.AsSpan(start, end - start));
        if (sent < 0)
        {
            IsBroken = true;
            return FlushStatus.Broken;
        }

        start += sent;
        if (start != end)
        {
            return FlushStatus.Wait;
        }

        start = end = headStart = 0;
        ReleaseBlock();
        return Flushed();
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

    void ReleaseBlock()
    {
        if (block is { } held)
        {
            block = null;
            loop.Buffers.Return(held);
        }
    }

    /// <summary>For the next message; only at a boundary.</summary>
    public void Reset()
    {
        framing = Framing.None;
        IsComplete = true;
    }

    /// <summary>Lets go of what is held, sent or not.</summary>
    public void Release()
    {
        start = end = headStart = 0;
        ReleaseBlock();
    }
}
