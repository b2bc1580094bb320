using System.Collections.Frozen;
using System.Globalization;

namespace Weir.Proxy.Matching;

/// <summary>What a backslash makes of the characters after it, in a class and outside.</summary>
static class Re2Escapes
{
    const int Largest = 0x10FFFF;

    static readonly CharSet Digits = CharSet.OfPairs("09");
    static readonly CharSet Spaces = CharSet.OfPairs("\t\n\f\r  ");
    static readonly CharSet Words = CharSet.OfPairs("09AZaz__");

    static readonly FrozenDictionary<string, CharSet> Posix = new Dictionary<string, CharSet>
    {
        ["alnum"] = CharSet.OfPairs("09AZaz"),
        ["alpha"] = CharSet.OfPairs("AZaz"),
        ["ascii"] = CharSet.OfPairs("\0\x7F"),
        ["blank"] = CharSet.OfPairs("\t\t  "),
        ["cntrl"] = CharSet.OfPairs("\0\x1F\x7F\x7F"),
        ["digit"] = Digits,
        ["graph"] = CharSet.OfPairs("!~"),
        ["lower"] = CharSet.OfPairs("az"),
        ["print"] = CharSet.OfPairs(" ~"),
        ["punct"] = CharSet.OfPairs("!/:@[`{~"),
        ["space"] = CharSet.OfPairs("\t\r  "),
        ["upper"] = CharSet.OfPairs("AZ"),
        ["word"] = Words,
        ["xdigit"] = CharSet.OfPairs("09AFaf"),
    }.ToFrozenDictionary();

    /// <summary>The name between <c>[:</c> and <c>:]</c>, which may begin with <c>^</c>.</summary>
    public static CharSet PosixClass(Re2Scanner from, string name, Func<CharSet, CharSet> folded)
    {
        var isNegated = name.StartsWith('^');
        return !Posix.TryGetValue(isNegated ? name[1..] : name, out var set) ? throw from.Error($"[:{name}:] is no class of RE2's")
            : isNegated ? folded(set).Not() : folded(set);
    }

    /// <summary>After the backslash: a class, if that is what it names.</summary>
    public static CharSet? TakeClass(Re2Scanner from, Func<CharSet, CharSet> folded)
    {
        CharSet? set = from.Peek switch
        {
            'd' or 'D' => Digits,
            's' or 'S' => Spaces,
            'w' or 'W' => Words,
            'p' or 'P' => CharSet.Empty,
            _ => null,
        };
        if (set is null)
        {
            return null;
        }

        var letter = from.Take();
        var isNegated = char.IsAsciiLetterUpper(letter);
        if (letter is 'p' or 'P')
        {
            set = TakeUnicode(from, ref isNegated);
        }

        return isNegated ? folded(set).Not() : folded(set);
    }

    static CharSet TakeUnicode(Re2Scanner from, ref bool isNegated)
    {
        var name = from.TryTake('{') ? from.TryTakeUntil("}") ?? throw from.Error(@"\p{ without }") : from.Take().ToString();
        if (name.StartsWith('^'))
        {
            (name, isNegated) = (name[1..], !isNegated);
        }

        return name == "Any" ? CharSet.All
            : name.Length is 1 or 2 && CharSet.Category(name) is { } found ? found
            : throw from.Error($@"\p{{{name}}} is not supported: general categories are, scripts are not");
    }

    /// <summary>After the backslash: one character.</summary>
    public static int TakeCodePoint(Re2Scanner from)
    {
        var c = from.IsAtEnd ? throw from.Error("a backslash at the end") : from.Take();
        return c switch
        {
            'a' => '\a',
            'f' => '\f',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\v',
            'x' => TakeHexadecimal(from),
            '0' => TakeOctal(from, 0),
            >= '1' and <= '7' when from.Peek is >= '0' and <= '7' => TakeOctal(from, c - '0'),
            >= '1' and <= '9' => throw from.Error($@"\{c}: back references are not in RE2"),
            'C' => throw from.Error(@"\C is not supported: a byte may be half a character"),
            _ when c < 0x80 && !char.IsAsciiLetterOrDigit(c) => c,
            _ => throw from.Error($@"\{c} is not in RE2"),
        };
    }

    static int TakeOctal(Re2Scanner from, int value)
    {
        for (var i = 0; i < 2 && from.Peek is >= '0' and <= '7'; i++)
        {
            value = (value * 8) + (from.Take() - '0');
        }

        return value;
    }

    static int TakeHexadecimal(Re2Scanner from)
    {
        var digits = from.TryTake('{') ? from.TryTakeUntil("}") ?? "" : $"{from.Take()}{from.Take()}";
        return int.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) && value is >= 0 and <= Largest
            && value is < 0xD800 or > 0xDFFF ? value : throw from.Error($@"\x{digits} is no character");
    }
}
