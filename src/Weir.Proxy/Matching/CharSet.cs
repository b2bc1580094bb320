using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Weir.Proxy.Matching;

/// <summary>A set of code points, as a regular expression's class names them. Immutable.</summary>
sealed class CharSet
{
    const int Largest = 0x10FFFF;
    const int FirstNonAscii = 0x80;

    /// <summary>Letters with another case beyond this one do not exist.</summary>
    const int LastCased = 0x1E943;

    readonly (int Low, int High)[] ranges;

    public static readonly CharSet Empty = new([]);
    public static readonly CharSet All = Of((0, Largest));

    CharSet(IEnumerable<(int Low, int High)> unordered)
    {
        var merged = new List<(int Low, int High)>();
        foreach (var (low, high) in unordered.Order())
        {
            if (merged.Count > 0 && low <= merged[^1].High + 1)
            {
                merged[^1] = (merged[^1].Low, Math.Max(merged[^1].High, high));
            }
            else
            {
                merged.Add((low, high));
            }
        }

        ranges = [.. merged];
    }

    public IReadOnlyList<(int Low, int High)> Ranges => ranges;

    public static CharSet Of(params IEnumerable<(int Low, int High)> ranges) => new(ranges);

    public static CharSet Of(int codePoint) => new([(codePoint, codePoint)]);

    /// <summary>Each pair of characters is a range: <c>azAZ</c> for the letters of ASCII.</summary>
    public static CharSet OfPairs(string pairs) => new(Enumerable.Range(0, pairs.Length / 2).Select(i => ((int)pairs[2 * i], (int)pairs[(2 * i) + 1])));

    public CharSet Or(CharSet other) => new(ranges.Concat(other.ranges));

    public CharSet Not()
    {
        var next = 0;
        var gaps = new List<(int, int)>();
        foreach (var (low, high) in ranges)
        {
            if (low > next)
            {
                gaps.Add((next, low - 1));
            }

            next = high + 1;
        }

        if (next <= Largest)
        {
            gaps.Add((next, Largest));
        }

        return new CharSet(gaps);
    }

    public bool Contains(int codePoint) => Array.Exists(ranges, r => r.Low <= codePoint && codePoint <= r.High);

    /// <summary>Some characters beyond ASCII belong to it, and some do not.</summary>
    public bool TellsNonAsciiApart => Array.Exists(ranges, r => r.High >= FirstNonAscii) && !Array.Exists(ranges, r => r.Low <= FirstNonAscii && r.High == Largest);

    /// <summary>With all that differs from a member in case alone (Unicode's simple folding).</summary>
    public CharSet IgnoringCase(bool asciiAlone)
    {
        var added = new List<(int, int)>(ranges);
        foreach (var orbit in asciiAlone ? Orbits.Ascii : Orbits.All)
        {
            if (Array.Exists(orbit, Contains))
            {
                added.AddRange(orbit.Select(c => (c, c)));
            }
        }

        return new CharSet(added);
    }

    static readonly ConcurrentDictionary<string, CharSet?> Categories = [];

    /// <summary>The members of a general category, <c>L</c> or <c>Lu</c>; null for what is none.</summary>
    public static CharSet? Category(string name) => Categories.GetOrAdd(name, static wanted =>
    {
        var found = new List<(int Low, int High)>();
        var isKnown = false;
        for (var c = 0; c <= Largest; c++)
        {
            var category = Short(CharUnicodeInfo.GetUnicodeCategory(c));
            if (category.StartsWith(wanted, StringComparison.Ordinal))
            {
                isKnown = true;

                // RE2's C has no code points that are not assigned.
                if (category != "Cn")
                {
                    Extend(found, c);
                }
            }
        }

        return isKnown && wanted != "Cn" ? new CharSet(found) : null;
    });

    static void Extend(List<(int Low, int High)> found, int c)
    {
        if (found.Count > 0 && found[^1].High == c - 1)
        {
            found[^1] = (found[^1].Low, c);
        }
        else
        {
            found.Add((c, c));
        }
    }

    static string Short(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter => "Lu",
        UnicodeCategory.LowercaseLetter => "Ll",
        UnicodeCategory.TitlecaseLetter => "Lt",
        UnicodeCategory.ModifierLetter => "Lm",
        UnicodeCategory.OtherLetter => "Lo",
        UnicodeCategory.NonSpacingMark => "Mn",
        UnicodeCategory.SpacingCombiningMark => "Mc",
        UnicodeCategory.EnclosingMark => "Me",
        UnicodeCategory.DecimalDigitNumber => "Nd",
        UnicodeCategory.LetterNumber => "Nl",
        UnicodeCategory.OtherNumber => "No",
        UnicodeCategory.SpaceSeparator => "Zs",
        UnicodeCategory.LineSeparator => "Zl",
        UnicodeCategory.ParagraphSeparator => "Zp",
        UnicodeCategory.Control => "Cc",
        UnicodeCategory.Format => "Cf",
        UnicodeCategory.Surrogate => "Cs",
        UnicodeCategory.PrivateUse => "Co",
        UnicodeCategory.ConnectorPunctuation => "Pc",
        UnicodeCategory.DashPunctuation => "Pd",
        UnicodeCategory.OpenPunctuation => "Ps",
        UnicodeCategory.ClosePunctuation => "Pe",
        UnicodeCategory.InitialQuotePunctuation => "Pi",
        UnicodeCategory.FinalQuotePunctuation => "Pf",
        UnicodeCategory.OtherPunctuation => "Po",
        UnicodeCategory.MathSymbol => "Sm",
        UnicodeCategory.CurrencySymbol => "Sc",
        UnicodeCategory.ModifierSymbol => "Sk",
        UnicodeCategory.OtherSymbol => "So",
        _ => "Cn",
    };

    /// <summary>Characters that differ in case alone, together; built when a pattern first asks for them.</summary>
    static class Orbits
    {
        public static readonly int[][] Ascii = [.. Enumerable.Range('a', 26).Select(c => new[] { c, c - 32 })];

        public static readonly int[][] All = [.. Enumerable.Range(0, LastCased + 1).Where(Rune.IsValid)
            .GroupBy(Key).Select(g => g.ToArray()).Where(g => g.Length > 1)];

        static int Key(int c)
        {
            // The invariant culture leaves the long s alone.
            const int LongS = 0x17F;
            return c == LongS ? 'S' : Rune.ToUpperInvariant(Rune.ToLowerInvariant(new Rune(c))).Value;
        }
    }
}
