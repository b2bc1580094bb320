using System.Buffers.Text;

namespace Weir.Proxy.Http2;

/// <summary>Turns heads and trailers into field blocks, one after the other.</summary>
sealed class HeadWriter(Http2Output output, int tableBytes)
{
    /// <summary>For a field whose name is in a table; what takes more is tried again.</summary>
    const int FieldRoom = 64;

    readonly HpackEncoder encoder = new(Math.Min(tableBytes, HpackDecoder.DefaultTableSize), huffman: false);
    int block;

    /// <summary>The peer's SETTINGS_HEADER_TABLE_SIZE.</summary>
    public void SetTableSize(uint size) => encoder.SetMaximumTableSize(size);

    /// <summary>Nothing else may be written on the connection until <see cref="End"/>.</summary>
    public void Begin() => block = output.BeginBlock();

    public void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        // What is encoded changes the peer's table, so there is always room made for it.
        var room = output.Reserve(FieldRoom);
        int written;
        while (!encoder.TryWrite(name, value, room, out written))
        {
            room = output.Reserve(room.Length + name.Length + value.Length + FieldRoom);
        }

        output.Add(written);
    }

    public void ContentLength(long length)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(length, digits, out var written);
        Field("content-length"u8, digits[..written]);
    }

    /// <param name="maximumFrame">The peer's SETTINGS_MAX_FRAME_SIZE.</param>
    public void End(int stream, bool endsStream, int maximumFrame) => output.EndBlock(block, stream, endsStream, maximumFrame);
}
