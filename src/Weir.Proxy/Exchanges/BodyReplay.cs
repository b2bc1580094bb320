using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Exchanges;

/// <summary>
/// Content of a request that was sent to an upstream which may still say that it has not looked at it: kept so that it can be sent
/// elsewhere. Of content that is longer than a buffer nothing is kept.
/// </summary>
sealed class BodyReplay(BufferPool buffers)
{
    byte[]? block;
    int length;
    int sent;
    bool isTooLong;

    /// <summary>All that was sent is here.</summary>
    public bool IsComplete => !isTooLong;

    /// <summary>There is content to be sent again.</summary>
    public bool HasMore => sent < length;

    /// <summary>For the next request.</summary>
    public void Reset()
    {
        Release();
        isTooLong = false;
    }

    /// <summary>What was kept is to be sent again, from its beginning.</summary>
    public void Rewind() => sent = 0;

    public void Keep(ReadOnlySpan<byte> content)
    {
        var needed = length + content.Length;
        isTooLong |= needed > BufferPool.BufferSize;
        if (isTooLong)
        {
            Release();
            return;
        }

        if (block is null || block.Length < needed)
        {
            var larger = needed <= BufferPool.SmallSize ? buffers.RentSmall() : buffers.Rent();
            block.AsSpan(0, length).CopyTo(larger);
            if (block is not null)
            {
                buffers.Return(block);
            }

            block = larger;
        }

        content.CopyTo(block.AsSpan(length));
        length = sent = needed;
    }

    /// <returns>As <see cref="ContentStream.Send"/>.</returns>
    public int SendTo(ContentStream sink)
    {
        var taken = sink.Send(block.AsSpan(sent, length - sent));
        sent += Math.Max(0, taken);
        return taken;
    }

    /// <summary>It will not have to be sent again.</summary>
    public void Release()
    {
        length = sent = 0;
        buffers.Return(ref block);
    }
}
