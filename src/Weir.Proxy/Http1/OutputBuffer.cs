using System.Buffers.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>
/// What is held back of what is to be sent on a connection, so that small pieces leave in one write; long ones go out from where they
/// lie. Once a write has failed, nothing is written any more.
/// </summary>
struct OutputBuffer(BufferPool buffers, TcpSocket socket)
{
    /// <summary>Content up to this length is copied behind what is held back.</summary>
    public const int Small = 2 * 1024;

    byte[]? block;
    int start;
    int end;

    /// <summary>A write failed, or nothing more may be written.</summary>
    public bool IsBroken { get; private set; }

    public readonly bool IsEmpty => start == end;

    /// <summary>Where the next byte comes to lie.</summary>
    public readonly int End => end;

    /// <summary>Bytes that can be written without growing; after <see cref="Rent"/>.</summary>
    public readonly int Room => block!.Length - end;

    /// <summary>Before something is written, if nothing is held.</summary>
    public void Rent() => block ??= buffers.Rent();

    public void Write(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(block.AsSpan(end));
        end += bytes.Length;
    }

    /// <summary>As HTTP/1.1 writes the size of a chunk.</summary>
    public void WriteHex(long number)
    {
        Utf8Formatter.TryFormat(number, block.AsSpan(end), out var digits, new System.Buffers.StandardFormat('x'));
        end += digits;
    }

    public void WriteField(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var length = name.Length + value.Length + 4;
        var target = block.AsSpan(end, length);
        name.CopyTo(target);
        target[name.Length] = (byte)':';
        target[name.Length + 1] = (byte)' ';
        value.CopyTo(target[(name.Length + 2)..]);
        target[^2] = (byte)'\r';
        target[^1] = (byte)'\n';
        end += length;
    }

    /// <summary>Sees to it that there is room.</summary>
    /// <returns>False where that would take more than the limit.</returns>
    public bool MakeRoom(int needed, int limit) => Room >= needed || Grow(needed, limit);

    bool Grow(int needed, int limit)
    {
        var size = Math.Max(block!.Length * 2, end + needed);
        if (size > limit)
        {
            return false;
        }

        var larger = buffers.RentUnusual(size);
        block.AsSpan(0, end).CopyTo(larger);
        buffers.Return(block);
        block = larger;
        return true;
    }

    /// <summary>Forgets what was written from there on.</summary>
    public void Truncate(int at) => end = at;

    /// <summary>What was written before can no more be taken for a whole: nothing may follow it.</summary>
    public void Break() => IsBroken = true;

    /// <summary>Sends behind what is held, or holds it as well.</summary>
    /// <returns>How much was taken, or -1 when nothing more can be sent.</returns>
    public int Send(ReadOnlySpan<byte> content)
    {
        if (content.Length > Small && IsEmpty)
        {
            return SendDirectly(content);
        }

        Rent();

        // Room is kept for what ends a chunk.
        var copied = Math.Min(content.Length, Math.Max(0, Room - 2));
        Write(content[..copied]);
        if (copied == content.Length)
        {
            return copied;
        }

        if (Flush() == FlushStatus.Broken)
        {
            return -1;
        }

        return !IsEmpty ? copied : SendDirectly(content[copied..]) is >= 0 and var more ? copied + more : -1;
    }

    int SendDirectly(ReadOnlySpan<byte> content)
    {
        var sent = socket.Send(content);
        IsBroken |= sent < 0;
        return Math.Max(sent, -1);
    }

    /// <summary>Sends what the kernel takes of it.</summary>
    public FlushStatus Flush()
    {
        if (IsBroken || IsEmpty)
        {
            return IsBroken ? FlushStatus.Broken : FlushStatus.Done;
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

        Release();
        return FlushStatus.Done;
    }

    public void Release()
    {
        start = end = 0;
        if (block is { } held)
        {
            block = null;
            buffers.Return(held);
        }
    }
}
