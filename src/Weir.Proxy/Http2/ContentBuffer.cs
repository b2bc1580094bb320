using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// Content of one stream that has come and not been used. While a frame is being delivered its content lies in the connection's buffer;
/// what is left of it then is copied here. The stream's window bounds it.
/// </summary>
struct ContentBuffer(BufferPool buffers)
{
    byte[]? direct;
    int directStart;
    int directEnd;
    byte[]? block;
    int start;
    int end;

    public readonly bool IsEmpty => start == end && directStart == directEnd;

    /// <summary>What comes next; more may follow.</summary>
    public readonly ReadOnlySpan<byte> Next => start < end ? block.AsSpan(start, end - start) : direct.AsSpan(directStart, directEnd - directStart);

    /// <summary>The content of a frame, until <see cref="EndDelivery"/>.</summary>
    public void BeginDelivery(byte[] source, int from, int length) => (direct, directStart, directEnd) = (source, from, from + length);

    public void EndDelivery()
    {
        if (directStart < directEnd)
        {
            Append(direct.AsSpan(directStart, directEnd - directStart));
        }

        direct = null;
        directStart = directEnd = 0;
    }

    public void Consume(int count)
    {
        if (start == end)
        {
            directStart += count;
            return;
        }

        start += count;
        if (start == end)
        {
            // A frame that is being delivered comes next.
            ReleaseBlock();
        }
    }

    void Append(ReadOnlySpan<byte> content)
    {
        var held = end - start;
        if (block is null || block.Length - end < content.Length)
        {
            var needed = held + content.Length;
            var larger = needed <= BufferPool.SmallSize ? buffers.RentSmall() : buffers.RentAtLeast(needed);
            block.AsSpan(start, held).CopyTo(larger);
            if (block is not null)
            {
                buffers.Return(block);
            }

            block = larger;
            (start, end) = (0, held);
        }

        content.CopyTo(block.AsSpan(end));
        end += content.Length;
    }

    public void Release()
    {
        directStart = directEnd = 0;
        direct = null;
        ReleaseBlock();
    }

    void ReleaseBlock()
    {
        start = end = 0;
        if (block is { } kept)
        {
            block = null;
            buffers.Return(kept);
        }
    }
}
