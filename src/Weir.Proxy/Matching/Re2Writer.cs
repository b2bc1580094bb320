using System.Globalization;
using System.Text;

namespace Weir.Proxy.Matching;

/// <summary>Writes a regular expression for .NET: each part so that it can be repeated as a whole.</summary>
/// <param name="inUtf16">Characters beyond U+FFFF come as two surrogates; otherwise they come as others beyond ASCII do.</param>
sealed class Re2Writer(bool inUtf16)
{
    const int FirstSurrogate = 0xD800;
    const int LastSurrogate = 0xDFFF;
    const int FirstOfTwo = 0x10000;

    readonly StringBuilder output = new();

    public int Length => output.Length;

    public override string ToString() => output.ToString();

    public void Raw(string text) => output.Append(text);

    public void Repeat(int start, int least, int most, bool isLazy)
    {
        // Whatever the part was, it is one now.
        output.Insert(start, "(?:").Append(')');
        output.Append(CultureInfo.InvariantCulture, $"{{{least},{(most < 0 ? "" : most)}}}");
        if (isLazy)
        {
            output.Append('?');
        }
    }

    /// <returns>How much it adds to the automaton.</returns>
    public int Class(CharSet set)
    {
        if (set.Ranges is [var (low, high)] && low == high && low < FirstSurrogate)
        {
            Character(low, inClass: false);
            return 1;
        }

        var single = set.Ranges.Where(r => r.Low < FirstOfTwo).Select(r => (r.Low, High: Math.Min(r.High, FirstOfTwo - 1)));
        var pairs = inUtf16 ? set.Ranges.Where(r => r.High >= FirstOfTwo).SelectMany(r => Pairs(Math.Max(r.Low, FirstOfTwo), r.High)).ToList() : [];
        if (inUtf16)
        {
            single = single.SelectMany(WithoutSurrogates);
        }

        output.Append(pairs.Count > 0 ? "(?:" : "");
        var ranges = Ranges([.. single]);
        foreach (var (lead, trail) in pairs)
        {
            output.Append('|');
            _ = Ranges([lead]);
            _ = Ranges([trail]);
        }

        output.Append(pairs.Count > 0 ? ")" : "");
        return 1 + (2 * pairs.Count) + (ranges / 8);
    }

    int Ranges((int Low, int High)[] ranges)
    {
        if (ranges.Length == 0)
        {
            // Nothing at all.
            output.Append(@"[^\0-\uFFFF]");
            return 0;
        }

        output.Append('[');
        foreach (var (low, high) in ranges)
        {
            Character(low, inClass: true);
            if (high > low)
            {
                output.Append('-');
                Character(high, inClass: true);
            }
        }

        output.Append(']');
        return ranges.Length;
    }

    void Character(int c, bool inClass)
    {
        if (char.IsAsciiLetterOrDigit((char)c) || (!inClass && c is '/' or '_' or '-' or ' ' or ':' or '=' or ','))
        {
            output.Append((char)c);
        }
        else
        {
            output.Append(CultureInfo.InvariantCulture, $"\\u{c:X4}");
        }
    }

    static IEnumerable<(int Low, int High)> WithoutSurrogates((int Low, int High) range)
    {
        if (range.Low < FirstSurrogate)
        {
            yield return (range.Low, Math.Min(range.High, FirstSurrogate - 1));
        }

        if (range.High > LastSurrogate)
        {
            yield return (Math.Max(range.Low, LastSurrogate + 1), range.High);
        }
    }

    /// <summary>Leads and trails of a range beyond U+FFFF: what begins and ends within a lead, and the whole leads between.</summary>
    static IEnumerable<((int Low, int High) Lead, (int Low, int High) Trail)> Pairs(int low, int high)
    {
        const int PerLead = 0x400;
        while (low <= high)
        {
            var offset = low - FirstOfTwo;
            var (lead, trail) = (FirstSurrogate + (offset / PerLead), offset % PerLead);
            var whole = trail == 0 ? (high - low + 1) / PerLead : 0;
            var count = whole > 0 ? whole * PerLead : Math.Min(PerLead - trail, high - low + 1);
            yield return ((lead, lead + Math.Max(whole - 1, 0)), (0xDC00 + trail, 0xDC00 + (whole > 0 ? PerLead - 1 : trail + count - 1)));
            low += count;
        }
    }
}
