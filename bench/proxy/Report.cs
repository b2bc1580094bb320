using System.Globalization;
using System.Text;

namespace Weir.Proxy.Bench;

/// <summary>The figures, as a table on the terminal, in Markdown, and as a plot.</summary>
sealed class Report
{
    /// <summary>The name of an earlier version of ours in figures.</summary>
    public const string Baseline = "weir-baseline";

    sealed record Row(string Title, string Name, string Unit, double Goal, bool IsRatio, List<Figure> Figures, string Remark)
    {
        public double Best => Figures.Skip(1).Where(f => f.IsRival).Select(f => Median(f.Samples)).DefaultIfEmpty(double.NaN).Min();

        public double Value => IsRatio ? Median(Figures[0].Samples) / Best : Median(Figures[0].Samples);

        public bool IsMet => Value <= Goal;
    }

    readonly List<Row> rows = [];
    readonly List<string> notes = [];

    public static double Median(List<double> samples)
    {
        var sorted = samples.Order().ToList();
        return sorted.Count == 0 ? 0 : (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }

    /// <summary>Ours is the first; the goal is a part of the best of its rivals.</summary>
    public void Add(string title, string name, string unit, double goal, List<Figure> figures, string remark) =>
        Print(new Row(title, name, unit, goal, true, figures, remark));

    /// <param name="others">To compare with; the limit is ours alone.</param>
    public void AddLimit(string title, string name, string unit, double limit, List<double> samples, params Figure[] others) =>
        Print(new Row(title, name, unit, limit, false, [new Figure("weir", samples), .. others], ""));

    public void Note(string text)
    {
        notes.Add(text);
        Console.WriteLine("note: " + text);
    }

    void Print(Row row)
    {
        rows.Add(row);
        Console.WriteLine($"{(row.IsMet ? "met   " : "MISSED")} {Line(row)}");
    }

    static string Number(double value) => value.ToString(value >= 100 ? "0" : value >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture);

    static string Line(Row row) =>
        $"{row.Title}: {string.Join(", ", row.Figures.Select(f => $"{f.Who} {Number(Median(f.Samples))}"))} {row.Unit}"
        + (row.IsRatio ? $"; {Number(row.Value)} of the best, goal {Number(row.Goal)}" : $", limit {Number(row.Goal)}") + (row.Remark.Length > 0 ? $" ({row.Remark})" : "");

    public void Write(string directory, bool isQuick)
    {
        Directory.CreateDirectory(directory);
        var columns = rows.SelectMany(r => r.Figures).Select(f => f.Who).Distinct().OrderBy(who => who != "weir").ToList();
        var text = new StringBuilder($"| Case | {string.Join(" | ", columns)} | unit | of the best | goal | |\n|---|{string.Concat(columns.Select(_ => "---|"))}---|---|---|---|\n");
        foreach (var row in rows)
        {
            string Of(string who) => row.Figures.Find(f => f.Who == who) is { } figure
                ? Number(Median(figure.Samples)) + (figure.Samples.Count > 1 ? $" ({Number(figure.Samples.Min())}–{Number(figure.Samples.Max())})" : "") : "";
            text.Append(CultureInfo.InvariantCulture, $"| {row.Title} | {string.Join(" | ", columns.Select(Of))} | {row.Unit} | {(row.IsRatio ? Number(row.Value) : "")} | ≤ {Number(row.Goal)} | {(row.IsMet ? "met" : "**missed**")} |\n");
        }

        foreach (var note in notes)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n- {note}");
        }

        File.WriteAllText(Path.Combine(directory, isQuick ? "quick.md" : "results.md"), text.ToString());
        File.WriteAllText(Path.Combine(directory, isQuick ? "quick.svg" : "results.svg"), Plot());
        Console.WriteLine(text);
    }

    /// <summary>A bar for each proxy and case, relative to the best of the others; the goal is a line across.</summary>
    string Plot()
    {
        var compared = rows.Where(r => r.IsRatio).ToList();
        var svg = new StringBuilder($"""<svg xmlns="http://www.w3.org/2000/svg" width="820" height="{40 + (compared.Count * 74)}" font-family="sans-serif" font-size="12">""");
        svg.Append("""<rect width="100%" height="100%" fill="white"/><text x="10" y="20">Cost relative to the best of the others (shorter is better); the red line is the goal</text>""");
        var y = 36;
        foreach (var row in compared)
        {
            var top = y;
            svg.Append(CultureInfo.InvariantCulture, $"""<text x="10" y="{y + 12}" font-weight="bold">{row.Title} ({row.Unit})</text>""");
            y += 18;
            foreach (var (who, samples, _) in row.Figures)
            {
                var value = Median(samples);
                var width = Math.Min(value / row.Best, 2.6) * 250;
                svg.Append(CultureInfo.InvariantCulture, $"""<text x="10" y="{y + 11}">{who}</text><rect x="70" y="{y}" width="{width:0}" height="13" fill="{(who == "weir" ? "#2a7ab0" : "#b9c4cc")}"/><text x="{75 + width:0}" y="{y + 11}">{Number(value)}</text>""");
                y += 16;
            }

            svg.Append(CultureInfo.InvariantCulture, $"""<line x1="{70 + (row.Goal * 250):0}" x2="{70 + (row.Goal * 250):0}" y1="{top + 16}" y2="{y}" stroke="#c0392b" stroke-width="2"/>""");
            y += 8;
        }

        return svg.Append("</svg>\n").ToString();
    }
}

/// <summary>What one of those compared did, round by round.</summary>
/// <param name="IsRival">The goal is measured against it, if it is the best.</param>
sealed record Figure(string Who, List<double> Samples, bool IsRival = true);
