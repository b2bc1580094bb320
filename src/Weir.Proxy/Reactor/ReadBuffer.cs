namespace Weir.Proxy.Reactor;

/// <summary>What has been read from a connection and not yet been used. Holds a block only while there is something in it.</summary>
struct ReadBuffer(BufferPool buffers)
{
    byte[]? block;
    int start;
    int end;

    public readonly bool IsEmpty => start == end;

    public readonly bool IsHeld => block is not null;

    public readonly Span<byte> Unread => block.AsSpan(start, end - start);

    /// <summary>Where the unread bytes begin; <see cref="From"/> finds them again after some were used.</summary>
    public readonly int Position => start;

    /// <summary>Where all of it lies, from <see cref="Position"/> on.</summary>
    public readonly byte[] Block => block ?? [];

    public readonly Span<byte> From(int position) => block.AsSpan(position, end - position);

    public void Skip(int count) => start += count;

    /// <summary>Receives into a small block, which heads fit in.</summary>
    /// <returns>As <see cref="TcpSocket.Receive"/>; <c>-ENOBUFS</c> when it is full.</returns>
    public int FillSmall(TcpSocket socket)
    {
        block ??= buffers.RentSmall();
        return Receive(socket);
    }

    /// <summary>
    /// Receives into a medium block; once that came full at once, into a large one where there is one: in bulk, system calls are what costs.
    /// </summary>
    public int Fill(TcpSocket socket, bool isBulk)
    {
        if (start == end && block is not null)
        {
            var wasFull = end == block.Length;
            start = end = 0;
            if (isBulk && wasFull && block.Length == BufferPool.BufferSize && buffers.TryRentLarge() is { } large)
            {
                buffers.Return(block);
                block = large;
            }
            else if (block.Length == BufferPool.SmallSize)
            {
                buffers.Return(block);
                block = null;
            }
        }

        block ??= buffers.Rent();
        return Receive(socket);
    }

    int Receive(TcpSocket socket)
    {
        if (end == block!.Length)
        {
            return -Native.Enobufs;
        }

        var read = socket.Receive(block.AsSpan(end));
        end += Math.Max(read, 0);
        return read;
    }

    /// <summary>Makes room behind what is unread: moves it to the front, or to a larger block.</summary>
    /// <returns>False when there are more than <paramref name="maximum"/> bytes already.</returns>
    public bool MakeRoom(int maximum)
    {
        var unread = Unread;
        if (start > 0)
        {
            unread.CopyTo(block);
            end -= start;
            start = 0;
            return true;
        }

        if (block!.Length >= maximum)
        {
            return false;
        }

        var larger = block.Length < BufferPool.BufferSize ? buffers.Rent()
            : buffers.RentUnusual(Math.Min(block.Length * 2, Math.Max(maximum, BufferPool.BufferSize)));
        unread.CopyTo(larger);
        buffers.Return(block);
        block = larger;
        return true;
    }

    /// <summary>Moves what is unread into another buffer, which is empty; this one keeps what was used.</summary>
    public void MoveTo(ref ReadBuffer other)
    {
        var unread = Unread;
        if (unread.IsEmpty)
        {
            return;
        }

        other.block = unread.Length <= BufferPool.SmallSize ? buffers.RentSmall()
            : unread.Length <= BufferPool.BufferSize ? buffers.Rent() : buffers.RentUnusual(unread.Length);
        unread.CopyTo(other.block);
        other.start = 0;
        other.end = unread.Length;
        end = start;
    }

    /// <summary>Adds what was read elsewhere.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        block ??= bytes.Length <= BufferPool.BufferSize ? buffers.Rent() : buffers.RentUnusual(bytes.Length);
        bytes.CopyTo(block.AsSpan(end));
        end += bytes.Length;
    }

    public void Release()
    {
        buffers.Return(ref block);
        start = end = 0;
    }
}
