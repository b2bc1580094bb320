using System.Text;

namespace Weir.Proxy.Matching;

/// <summary>One walk over a regular expression of RE2's, which writes what it means to .NET.</summary>
/// <param name="tellsNonAsciiApart">Texts are given as they are, in UTF-16; otherwise with one character for all beyond ASCII.</param>
sealed class Re2Parser(string text, bool tellsNonAsciiApart)
{
    /// <param name="Repeat">The largest product of repetitions within each other.</param>
    readonly record struct Cost(int Size, int Repeat);

    readonly Re2Writer output = new(tellsNonAsciiApart);
    readonly HashSet<string> names = [];
    readonly Re2Scanner from = new(text);
    Re2Flags flags;
    int nesting;

    public bool HasBoundary { get; private set; }

    public bool TellsNonAsciiApart { get; private set; }

    /// <summary>Without regard to case some letter beyond ASCII is as good as one in it.</summary>
    public bool FoldsNonAscii { get; private set; }

    /// <exception cref="FormatException">Not RE2's syntax, or too large.</exception>
    public string Parse()
    {
        _ = Alternatives();
        return from.IsAtEnd ? output.ToString() : throw from.Error("a closing parenthesis without an opening one");
    }

    Cost Alternatives()
    {
        var all = Sequence();
        while (from.TryTake('|'))
        {
            output.Raw("|");
            var next = Sequence();
            all = new Cost(Checked((long)all.Size + next.Size), Math.Max(all.Repeat, next.Repeat));
        }

        return all;
    }

    Cost Sequence()
    {
        var all = new Cost(0, 1);
        Cost? last = null;
        var lastStart = 0;
        var isRepeated = false;
        while (!from.IsAtEnd && from.Peek is not ('|' or ')'))
        {
            if (from.TryTakeRepeat(out var least, out var most))
            {
                var repeated = Repeat(isRepeated ? throw from.Error("a repetition operator after another") : last, lastStart, least, most);
                all = new Cost(Checked((long)all.Size + repeated.Size - last!.Value.Size), Math.Max(all.Repeat, repeated.Repeat));
                (last, isRepeated) = (repeated, true);
                continue;
            }

            if (from.TryTake(@"\Q"))
            {
                foreach (var quoted in from.TakeQuoted())
                {
                    (lastStart, last, isRepeated) = (output.Length, Class(CharSet.Of(quoted)), false);
                    all = all with { Size = Checked((long)all.Size + last.Value.Size) };
                }

                continue;
            }

            var start = output.Length;
            if (Atom() is { } atom)
            {
                (lastStart, last, isRepeated) = (start, atom, false);
                all = new Cost(Checked((long)all.Size + atom.Size), Math.Max(all.Repeat, atom.Repeat));
            }
        }

        return all with { Size = Math.Max(all.Size, 1) };
    }

    Cost Repeat(Cost? atom, int start, int least, int most)
    {
        if (atom is not { } repeated)
        {
            throw from.Error("a repetition operator without anything before it");
        }

        if (least > Re2Pattern.MaximumRepeat || most > Re2Pattern.MaximumRepeat || (most >= 0 && least > most))
        {
            throw from.Error($"repetition counts must rise, and not above {Re2Pattern.MaximumRepeat}");
        }

        var times = Math.Max(Math.Max(least, most), 1);
        var product = (long)repeated.Repeat * times;
        if (product > Re2Pattern.MaximumRepeat)
        {
            throw from.Error($"repetitions within repetitions come to more than {Re2Pattern.MaximumRepeat}");
        }

        if (from.Peek == '+')
        {
            throw from.Error("possessive repetition is not in RE2");
        }

        output.Repeat(start, least, most, isLazy: from.TryTake('?') != flags.HasFlag(Re2Flags.Ungreedy));
        return new Cost(Checked((long)repeated.Size * (most < 0 ? times + 1 : times)), (int)product);
    }

    /// <returns>Null for flags, which match nothing by themselves.</returns>
    Cost? Atom()
    {
        switch (from.Peek)
        {
            case '(':
                from.Skip();
                return Group();
            case '[':
                from.Skip();
                return Class(new Re2ClassReader(from, Folded).Read());
            case '.':
                from.Skip();
                return Class(flags.HasFlag(Re2Flags.DotMatchesAll) ? CharSet.All : CharSet.Of('\n').Not());
            case '^':
                from.Skip();
                return Position(flags.HasFlag(Re2Flags.MultiLine) ? "(?m:^)" : @"(?:\A)");
            case '$':
                from.Skip();
                return Position(flags.HasFlag(Re2Flags.MultiLine) ? "(?m:$)" : @"(?:\z)");
            case '\\':
                from.Skip();
                return Escape();
            default:
                return Class(Folded(CharSet.Of(from.TakeCodePoint())));
        }
    }

    Cost Escape()
    {
        switch (from.Peek)
        {
            case 'A':
                from.Skip();
                return Position(@"(?:\A)");
            case 'z':
                from.Skip();
                return Position(@"(?:\z)");
            case 'b' or 'B':
                HasBoundary = true;
                return Position($@"(?:\{from.Take()})");
            default:
                return Class(Re2Escapes.TakeClass(from, Folded) ?? Folded(CharSet.Of(Re2Escapes.TakeCodePoint(from))));
        }
    }

    Cost Position(string written)
    {
        output.Raw(written);
        return new Cost(1, 1);
    }

    Cost Class(CharSet set)
    {
        TellsNonAsciiApart |= set.TellsNonAsciiApart;
        return new Cost(output.Class(set), 1);
    }

    CharSet Folded(CharSet set)
    {
        if (!flags.HasFlag(Re2Flags.IgnoreCase))
        {
            return set;
        }

        FoldsNonAscii |= "kKsS".Any(c => set.Contains(c));
        return set.IgnoringCase(asciiAlone: !tellsNonAsciiApart);
    }

    Cost? Group()
    {
        if (++nesting > Re2Pattern.MaximumNesting)
        {
            throw from.Error($"groups are nested more than {Re2Pattern.MaximumNesting} deep");
        }

        var before = flags;
        var opening = "(";
        if (from.TryTake('?'))
        {
            if (from.TryTakeGroupName() is { } name)
            {
                if (!names.Add(name))
                {
                    throw from.Error($"two groups are named {name}");
                }
            }
            else if (!Re2Flag.TakeGroup(from, ref flags))
            {
                nesting--;
                return null;
            }
            else
            {
                opening = "(?:";
            }
        }

        output.Raw(opening);
        var inner = Alternatives();
        if (!from.TryTake(')'))
        {
            throw from.Error("a closing parenthesis is missing");
        }

        output.Raw(")");
        flags = before;
        nesting--;
        return inner;
    }

    int Checked(long size) => size <= Re2Pattern.MaximumSize ? (int)size
        : throw from.Error($"the regular expression is too large: repeated as often as it says, it has more than {Re2Pattern.MaximumSize} parts");
}
