using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http;

/// <summary>Fields with the bytes they lie in: trailers, and heads that do not lie in a connection's buffer. Reused.</summary>
sealed class FieldBlock
{
    byte[]? block;

    public HeaderList Fields { get; } = new();

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Bytes => block.AsSpan(0, Length);

    /// <summary>To be changed in place.</summary>
    public Span<byte> Writable => block.AsSpan(0, Length);

    /// <summary>What is free behind the fields that are there.</summary>
    public Span<byte> Room => block.AsSpan(Length);

    /// <summary>Holds a block until <see cref="Release"/>.</summary>
    public void Begin(BufferPool buffers)
    {
        block ??= buffers.RentTiny();
        Length = 0;
        Fields.Clear();
    }

    /// <summary>Exchanges the block for one with at least this much room, up to <paramref name="maximum"/> in all.</summary>
    /// <returns>False when it would be larger than that.</returns>
    public bool Grow(BufferPool buffers, int room, int maximum)
    {
        var needed = Length + room;
        if (needed > maximum)
        {
            return false;
        }

        var larger = needed <= BufferPool.SmallSize ? buffers.RentSmall() : needed <= BufferPool.BufferSize ? buffers.Rent()
            : buffers.RentUnusual(Math.Min(Math.Max(needed, block!.Length * 2), maximum));
        Bytes.CopyTo(larger);
        buffers.Return(block!);
        block = larger;
        return true;
    }

    /// <summary>What was written to the room stays.</summary>
    public Slice Take(int length)
    {
        var slice = new Slice(Length, length);
        Length += length;
        return slice;
    }

    /// <summary>Gives back the last bytes that were taken.</summary>
    public void Drop(int count) => Length -= count;

    /// <summary>Copies a field.</summary>
    /// <returns>False when there are too many, or they are too long.</returns>
    public bool Add(BufferPool buffers, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, int maximum)
    {
        if (Room.Length < name.Length + value.Length && !Grow(buffers, name.Length + value.Length, maximum))
        {
            return false;
        }

        name.CopyTo(Room);
        var nameSlice = Take(name.Length);
        value.CopyTo(Room);
        return Fields.Add(nameSlice, Take(value.Length), KnownHeader.Other);
    }

    public bool TryGet(ReadOnlySpan<byte> lowerName, out ReadOnlySpan<byte> value)
    {
        var found = Fields.TryGet(Bytes, lowerName, out var slice);
        value = found ? slice.Of(Bytes) : default;
        return found;
    }

    public void Release(BufferPool buffers)
    {
        buffers.Return(ref block);
        Length = 0;
        Fields.Clear();
    }
}
