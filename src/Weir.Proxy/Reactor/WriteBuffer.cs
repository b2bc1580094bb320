namespace Weir.Proxy.Reactor;

/// <summary>What is to be written to a connection and has not been. Holds a block only while there is something in it.</summary>
struct WriteBuffer(BufferPool buffers)
{
    byte[]? block;
    int start;
    int end;

    public readonly bool IsEmpty => start == end;

    /// <summary>Bytes that wait.</summary>
    public readonly int Length => end - start;

    /// <summary>All of them and the room behind; 0 while nothing is held.</summary>
    public readonly int Capacity => block?.Length ?? 0;

    /// <summary>What waits, to be changed in place.</summary>
    public readonly Span<byte> Unsent => block.AsSpan(start, end - start);

    /// <summary>Room behind what waits, for <see cref="Add"/>; after <see cref="Rent"/>.</summary>
    public readonly Span<byte> Room => block.AsSpan(end);

    /// <summary>Before something is written, if nothing is held.</summary>
    public void Rent() => block ??= buffers.Rent();

    /// <summary>So much of the room has been written.</summary>
    public void Add(int count) => end += count;

    public void Add(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(block.AsSpan(end));
        end += bytes.Length;
    }

    /// <summary>Forgets what was written behind so many bytes.</summary>
    public void Truncate(int length) => end = start + length;

    /// <summary>Sees to it that there is room: moves what waits to the front, or to a larger block. Where it lies in <see cref="Unsent"/> does not change.</summary>
    public void Grow(int room)
    {
        var unsent = Unsent;
        if (start >= block!.Length / 2 && block.Length - unsent.Length >= room)
        {
            unsent.CopyTo(block);
        }
        else
        {
            var larger = buffers.RentAtLeast(unsent.Length + room);
            unsent.CopyTo(larger);
            buffers.Return(block);
            block = larger;
        }

        (start, end) = (0, unsent.Length);
    }

    /// <summary>Sends what the kernel takes of it.</summary>
    /// <returns>As <see cref="TcpSocket.Send(ReadOnlySpan{byte})"/>.</returns>
    public int Send(TcpSocket socket)
    {
        var sent = socket.Send(Unsent);
        start += Math.Max(sent, 0);
        if (start == end)
        {
            Release();
        }

        return sent;
    }

    public void Release()
    {
        start = end = 0;
        buffers.Return(ref block);
    }
}
