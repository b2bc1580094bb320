using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>
/// Knows who has what: a buffer that is returned twice, or never, is found, and what is read from one after its return is no longer what
/// was written to it.
/// </summary>
/// <param name="asksWho">Remembers who has rented each, which is slow.</param>
sealed class CheckedBufferPool(bool asksWho) : BufferPool
{
    const byte Poison = (byte)'!';

    /// <summary>Kept from one simulation to the next, since pinned buffers are costly to make. What is in them does not matter.</summary>
    [ThreadStatic]
    static Dictionary<int, Stack<byte[]>>? spare;

    readonly Dictionary<byte[], string> rented = [];

    public int Outstanding => rented.Count;

    /// <summary>Who has them.</summary>
    public string Holders => string.Join('\n', rented.Select(r => $"{r.Key.Length} bytes rented{r.Value}"));

    private protected override byte[] Take(Spares<byte[]>? spares, int length)
    {
        var free = SpareOf(length);
        var buffer = free is { Count: > 0 } ? free.Pop() : GC.AllocateUninitializedArray<byte>(length, pinned: true);
        rented.Add(buffer, asksWho ? Environment.StackTrace : "");
        return buffer;
    }

    static Stack<byte[]>? SpareOf(int length)
    {
        spare ??= new() { [TinySize] = new(), [SmallSize] = new(), [BufferSize] = new(), [LargeSize] = new() };
        return spare.GetValueOrDefault(length);
    }

    private protected override void Keep(byte[] buffer)
    {
        if (!rented.Remove(buffer))
        {
            throw new InvariantException("a buffer was returned that nobody has");
        }

        buffer.AsSpan().Fill(Poison);
        SpareOf(buffer.Length)?.Push(buffer);
    }
}
