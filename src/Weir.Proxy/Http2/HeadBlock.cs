using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>A field block that comes in several frames, until it is whole (RFC 9113 section 4.3).</summary>
struct HeadBlock(BufferPool buffers)
{
    /// <summary>A block of more CONTINUATION frames is an attack (CVE-2024-27316).</summary>
    const int MaximumContinuations = 32;
    const int MaximumBytes = 256 * 1024;

    byte[]? bytes;
    int length;
    int continuations;

    /// <summary>Whose it is; 0 while there is none.</summary>
    public int Stream { get; private set; }

    public bool IsEnd { get; private set; }

    public readonly ReadOnlySpan<byte> Bytes => bytes.AsSpan(0, length);

    /// <summary>Like <see cref="TryContinue"/>: false when there is more of it than anybody needs.</summary>
    public bool TryBegin(FrameHeader frame, ReadOnlySpan<byte> fragment)
    {
        (Stream, IsEnd, continuations, length) = (frame.StreamId, frame.IsEndStream, 0, 0);
        bytes = buffers.Rent();
        return TryAppend(fragment);
    }

    public bool TryContinue(ReadOnlySpan<byte> fragment) => ++continuations <= MaximumContinuations && TryAppend(fragment);

    bool TryAppend(ReadOnlySpan<byte> fragment)
    {
        var needed = length + fragment.Length;
        if (needed > MaximumBytes)
        {
            return false;
        }

        if (needed > bytes!.Length)
        {
            var larger = buffers.RentUnusual(Math.Min(needed * 2, MaximumBytes));
            Bytes.CopyTo(larger);
            buffers.Return(bytes);
            bytes = larger;
        }

        fragment.CopyTo(bytes.AsSpan(length));
        length = needed;
        return true;
    }

    public void Release()
    {
        Stream = length = 0;
        buffers.Return(ref bytes);
    }
}
