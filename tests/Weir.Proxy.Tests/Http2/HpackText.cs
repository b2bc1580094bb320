using System.Text;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

/// <summary>Blocks, fields and tables as text.</summary>
static class HpackText
{
    public static byte[] Bytes(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));

    /// <summary>The fields of a block, "name: value" each, and how it ended.</summary>
    public static List<string> Decode(HpackDecoder decoder, ReadOnlySpan<byte> block, out HpackResult end)
    {
        var result = new List<string>();
        var target = new byte[64 * 1024];
        var at = 0;
        while ((end = decoder.TryRead(block, ref at, target, out var field)) == HpackResult.Field)
        {
            result.Add(Text(target.AsSpan(0, field.Length), field.NameLength) + (field.NeverIndexed ? " (never)" : ""));
        }

        return result;
    }

    public static List<string> Decode(HpackDecoder decoder, ReadOnlySpan<byte> block)
    {
        var result = Decode(decoder, block, out var end);
        Assert.Equal(HpackResult.End, end);
        return result;
    }

    /// <summary>The entries, newest first.</summary>
    public static List<string> Entries(HpackDynamicTable table)
    {
        var result = new List<string>();
        for (var index = 1; index <= table.Count; index++)
        {
            var field = table.Read(index, out var nameLength, out _);
            result.Add(Text(field, nameLength));
        }

        return result;
    }

    static string Text(ReadOnlySpan<byte> field, int nameLength) =>
        $"{Encoding.Latin1.GetString(field[..nameLength])}: {Encoding.Latin1.GetString(field[nameLength..])}";
}
