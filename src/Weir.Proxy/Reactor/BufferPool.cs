namespace Weir.Proxy.Reactor;

/// <summary>
/// A loop's own stock of pinned buffers in four sizes. Connections hold one only while they have something in it: a tiny one for the few
/// fields that most streams of a shared connection have, a small one for a head, a medium one for what streams, a large one for what
/// streams in bulk. As many are kept as were in use at a time since the last
/// trimming, so that under steady load none is made anew, however many connections there are.
/// </summary>
public class BufferPool
{
    public const int TinySize = 512;
    public const int SmallSize = 2 * 1024;
    public const int BufferSize = 16 * 1024;
    public const int LargeSize = 128 * 1024;

    /// <summary>The most that is kept of one size.</summary>
    const int MaximumKeptBytes = 64 * 1024 * 1024;

    /// <summary>How many large ones are in use at a time. Many slow transfers must not cost as much as many fast ones gain.</summary>
    const int MaximumLarge = 128;

    readonly Spares<byte[]> tiny = new(MaximumKeptBytes / TinySize);
    readonly Spares<byte[]> small = new(MaximumKeptBytes / SmallSize);
    readonly Spares<byte[]> medium = new(MaximumKeptBytes / BufferSize);
    readonly Spares<byte[]> large = new(MaximumLarge);
    int largeInUse;

    /// <summary>Whether <see cref="TryRentLarge"/> would give one.</summary>
    public bool HasLarge => largeInUse < MaximumLarge;

    public byte[] Rent() => Take(medium, BufferSize);

    public byte[] RentTiny() => Take(tiny, TinySize);

    public byte[] RentSmall() => Take(small, SmallSize);

    /// <summary>Null when enough are in use.</summary>
    public byte[]? TryRentLarge()
    {
        if (!HasLarge)
        {
            return null;
        }

        largeInUse++;
        return Take(large, LargeSize);
    }

    /// <summary>A medium one or whatever holds so much; beyond the usual sizes twice that, so that what grows does not do so at each step.</summary>
    public byte[] RentAtLeast(int length) =>
        length <= BufferSize ? Rent() : (length <= LargeSize ? TryRentLarge() : null) ?? RentUnusual(length * 2);

    /// <summary>One of an unusual length, for what fits in no other; not kept when it is given back.</summary>
    public byte[] RentUnusual(int length)
    {
        // What happens to have the length of the large ones is one when it comes back.
        largeInUse += length == LargeSize ? 1 : 0;
        return Take(null, length);
    }

    /// <param name="spares">Null for a length of which none are kept.</param>
    private protected virtual byte[] Take(Spares<byte[]>? spares, int length) => spares?.TryTake() ?? GC.AllocateUninitializedArray<byte>(length, pinned: true);

    public void Return(byte[] buffer)
    {
        largeInUse -= buffer.Length == LargeSize ? 1 : 0;
        Keep(buffer);
    }

    /// <summary>Gives back what is held, if anything is.</summary>
    public void Return(ref byte[]? held)
    {
        if (held is { } buffer)
        {
            held = null;
            Return(buffer);
        }
    }

    private protected virtual void Keep(byte[] buffer)
    {
        switch (buffer.Length)
        {
            case TinySize:
                tiny.TryPut(buffer);
                break;
            case SmallSize:
                small.TryPut(buffer);
                break;
            case BufferSize:
                medium.TryPut(buffer);
                break;
            case LargeSize:
                large.TryPut(buffer);
                break;
        }
    }

    /// <summary>Lets go of what has lain unused since the last time.</summary>
    public void Trim()
    {
        tiny.Trim();
        small.Trim();
        medium.Trim();
        large.Trim();
    }
}
