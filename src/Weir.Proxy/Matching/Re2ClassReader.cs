namespace Weir.Proxy.Matching;

/// <summary>Reads a class in brackets; the opening one has been taken.</summary>
readonly struct Re2ClassReader(Re2Scanner from, Func<CharSet, CharSet> folded)
{
    public CharSet Read()
    {
        var isNegated = from.TryTake('^');
        var set = CharSet.Empty;

        // A closing bracket that comes first stands for itself.
        for (var isFirst = true; isFirst || from.Peek != ']'; isFirst = false)
        {
            if (from.IsAtEnd)
            {
                throw from.Error("a closing bracket is missing");
            }

            set = set.Or(Element());
        }

        from.Skip();
        return isNegated ? set.Not() : set;
    }

    CharSet Element()
    {
        if (from.TryTakeBetween("[:", ":]") is { } name)
        {
            return Re2Escapes.PosixClass(from, name, folded);
        }

        if (from.TryTake('\\'))
        {
            return Re2Escapes.TakeClass(from, folded) ?? Range(Re2Escapes.TakeCodePoint(from));
        }

        return Range(from.TakeCodePoint());
    }

    CharSet Range(int low)
    {
        if (!from.TryTake('-'))
        {
            return folded(CharSet.Of(low));
        }

        if (from.Peek == ']')
        {
            return folded(CharSet.Of((low, low), ('-', '-')));
        }

        var high = from.TryTake('\\') ? Re2Escapes.TakeCodePoint(from) : from.TakeCodePoint();
        return high >= low ? folded(CharSet.Of((low, high))) : throw from.Error("a range that ends before it begins");
    }
}
