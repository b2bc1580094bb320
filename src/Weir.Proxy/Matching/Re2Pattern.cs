namespace Weir.Proxy.Matching;

/// <summary>
/// A regular expression in RE2's syntax (github.com/google/re2/wiki/Syntax), in the words of .NET's engine. Whatever RE2 does not have
/// is refused, and so is what .NET would take in another sense.
/// </summary>
/// <param name="Text">For .NET, to be matched against the whole of a text.</param>
/// <param name="TellsNonAsciiApart">
/// Otherwise it treats all characters beyond ASCII as one: the text is then matched with <see cref="AnyNonAscii"/> in their place, which
/// makes <c>\b</c> the boundary that RE2 means.
/// </param>
public sealed record Re2Pattern(string Text, bool TellsNonAsciiApart)
{
    /// <summary>No character, and no part of a word.</summary>
    public const char AnyNonAscii = '\uFFFF';

    public const int MaximumLength = 2048;

    /// <summary>Characters and classes, each as often as it is repeated: what the automaton grows with.</summary>
    public const int MaximumSize = 1500;

    /// <summary>RE2's own; of repetitions within repetitions their product.</summary>
    public const int MaximumRepeat = 1000;

    public const int MaximumNesting = 100;

    /// <exception cref="FormatException">It is none, or too large; the message says where and why.</exception>
    public static Re2Pattern Parse(string text)
    {
        if (text.Length == 0)
        {
            throw new FormatException("the regular expression is empty");
        }

        if (text.Length > MaximumLength)
        {
            throw new FormatException($"a regular expression of {text.Length} characters is too long: {MaximumLength} are supported");
        }

        var parser = new Re2Parser(text, tellsNonAsciiApart: false);
        var pattern = parser.Parse();
        if (!parser.TellsNonAsciiApart && (!parser.FoldsNonAscii || parser.HasBoundary))
        {
            // With \b, the two letters beyond ASCII that fold to k and s (U+212A, U+017F) are not taken for them.
            return new Re2Pattern(pattern, false);
        }

        return parser.HasBoundary
            ? throw new FormatException(@"\b and \B are not supported beside characters beyond ASCII: they know the words of ASCII alone")
            : new Re2Pattern(new Re2Parser(text, tellsNonAsciiApart: true).Parse(), true);
    }
}
