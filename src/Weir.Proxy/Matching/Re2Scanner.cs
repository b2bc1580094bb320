using System.Text;

namespace Weir.Proxy.Matching;

/// <summary>Where the reading of a regular expression has come to.</summary>
sealed class Re2Scanner(string text)
{
    int at;

    public bool IsAtEnd => at == text.Length;

    /// <summary>The character to come, or NUL at the end.</summary>
    public char Peek => IsAtEnd ? '\0' : text[at];

    public FormatException Error(string reason) => new($"at character {Math.Min(at, text.Length)} of the regular expression: {reason}");

    public void Skip() => at++;

    public char Take() => IsAtEnd ? throw Error("it ends too early") : text[at++];

    public bool TryTake(char c)
    {
        var isNext = !IsAtEnd && text[at] == c;
        at += isNext ? 1 : 0;
        return isNext;
    }

    public bool TryTake(string what)
    {
        var isNext = text.AsSpan(at).StartsWith(what);
        at += isNext ? what.Length : 0;
        return isNext;
    }

    public int TakeCodePoint()
    {
        if (IsAtEnd)
        {
            throw Error("it ends too early");
        }

        if (Rune.DecodeFromUtf16(text.AsSpan(at), out var rune, out var length) != System.Buffers.OperationStatus.Done)
        {
            throw Error("not Unicode");
        }

        at += length;
        return rune.Value;
    }

    /// <summary>Everything up to <c>\E</c>, or to the end.</summary>
    public IEnumerable<int> TakeQuoted()
    {
        while (!IsAtEnd && !TryTake(@"\E"))
        {
            yield return TakeCodePoint();
        }
    }

    /// <summary>What stands before the end that is looked for; null where that does not come.</summary>
    public string? TryTakeUntil(string end)
    {
        var found = text.IndexOf(end, at, StringComparison.Ordinal);
        if (found < 0)
        {
            return null;
        }

        var inner = text[at..found];
        at = found + end.Length;
        return inner;
    }

    /// <summary>What stands between the two, if the first comes now and the other later.</summary>
    public string? TryTakeBetween(string first, string end)
    {
        var start = at;
        if (TryTake(first) && TryTakeUntil(end) is { } inner)
        {
            return inner;
        }

        at = start;
        return null;
    }

    /// <param name="most">-1 for no limit.</param>
    public bool TryTakeRepeat(out int least, out int most)
    {
        (least, most) = Peek switch
        {
            '*' => (0, -1),
            '+' => (1, -1),
            '?' => (0, 1),
            _ => (-1, -1),
        };
        if (least >= 0)
        {
            Skip();
            return true;
        }

        // Braces that are not a count stand for themselves.
        var start = at;
        if (TryTake('{') && TryTakeNumber(out least))
        {
            most = least;
            if (TryTake(',') && !TryTakeNumber(out most))
            {
                most = -1;
            }

            if (TryTake('}'))
            {
                return true;
            }
        }

        at = start;
        return false;
    }

    bool TryTakeNumber(out int number)
    {
        var start = at;
        number = 0;
        while (char.IsAsciiDigit(Peek))
        {
            number = Math.Min((number * 10) + (Take() - '0'), 100_000);
        }

        var isNumber = at > start && (text[start] != '0' || at == start + 1);
        at = isNumber ? at : start;
        return isNumber;
    }

    /// <summary>After <c>(?</c>: the name of the group, or null if it has none.</summary>
    public string? TryTakeGroupName()
    {
        if (Peek == 'P' && !text.AsSpan(at).StartsWith("P<"))
        {
            throw Error("(?P… is not in RE2: a back reference or recursion by name");
        }

        if (text.AsSpan(at).StartsWith("<=") || text.AsSpan(at).StartsWith("<!"))
        {
            throw Error("(?<… is not in RE2: look-behind");
        }

        if (!TryTake("P<") && !TryTake('<'))
        {
            return null;
        }

        return TryTakeUntil(">") is { Length: > 0 } name && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_') ? name
            : throw Error("a group's name must be of letters, digits and _");
    }
}
