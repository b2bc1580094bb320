namespace Weir.App.Commands;

/// <summary>Columns as kubectl prints them: padded to the widest cell, three spaces apart.</summary>
static class TextTable
{
    public static void Write(TextWriter output, IReadOnlyList<string> titles, IEnumerable<IReadOnlyList<string>> rows, bool withTitles = true)
    {
        var all = rows.ToList();
        var widths = titles.Select((t, i) => all.Select(r => r[i].Length).Append(withTitles ? t.Length : 0).Max()).ToArray();
        if (withTitles)
        {
            WriteRow(output, titles, widths);
        }

        foreach (var row in all)
        {
            WriteRow(output, row, widths);
        }
    }

    static void WriteRow(TextWriter output, IReadOnlyList<string> cells, int[] widths) =>
        output.WriteLine(string.Join("   ", cells.Select((c, i) => i == cells.Count - 1 ? c : c.PadRight(widths[i]))).TrimEnd());
}
