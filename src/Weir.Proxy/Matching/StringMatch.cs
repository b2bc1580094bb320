using System.Buffers;
using System.Text;
using System.Text.RegularExpressions;

namespace Weir.Proxy.Matching;

/// <summary>A compiled string matcher over bytes. Regular expressions are RE2's: linear in their input, and of the whole.</summary>
public sealed class StringMatch
{
    const int MaximumOnStack = 1024;

    enum Kind
    {
        Any,
        Exact,
        Prefix,
        Suffix,
        Contains,
        Regex,
    }

    readonly Kind kind;
    readonly byte[] text = [];
    readonly bool ignoreCase;
    readonly Re2Pattern? pattern;
    readonly Regex? regex;

    /// <summary>Matches everything. Never what a matcher without a pattern means.</summary>
    public static readonly StringMatch Any = new(Kind.Any, "", false);

    StringMatch(Kind kind, string text, bool ignoreCase)
    {
        this.kind = kind;
        this.ignoreCase = ignoreCase;
        this.text = Encoding.UTF8.GetBytes(text);
        if (ignoreCase)
        {
            Ascii.ToLowerInPlace(this.text, out _);
        }
    }

    StringMatch(Re2Pattern pattern)
    {
        kind = Kind.Regex;
        this.pattern = pattern;
        const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture;
        regex = new Regex($@"\A(?:{pattern.Text})\z", Options);
    }

    public static StringMatch Exact(string text, bool ignoreCase = false) => new(Kind.Exact, text, ignoreCase);

    public static StringMatch Prefix(string text, bool ignoreCase = false) => new(Kind.Prefix, text, ignoreCase);

    public static StringMatch Suffix(string text, bool ignoreCase = false) => new(Kind.Suffix, text, ignoreCase);

    public static StringMatch Contains(string text, bool ignoreCase = false) => new(Kind.Contains, text, ignoreCase);

    /// <exception cref="FormatException">Not a regular expression as <see cref="Re2Pattern"/> has them.</exception>
    public static StringMatch Regex(string text)
    {
        var pattern = Re2Pattern.Parse(text);
        try
        {
            return new StringMatch(pattern);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new FormatException($"the regular expression cannot be compiled: {e.Message}");
        }
    }

    public bool Matches(ReadOnlySpan<byte> value)
    {
        if (kind == Kind.Any)
        {
            return true;
        }

        if (kind == Kind.Regex)
        {
            return MatchesRegex(value);
        }

        if (ignoreCase)
        {
            return CompareIgnoringCase(value);
        }

        return Compare(value);
    }

    /// <summary>What it matches, as text by which two can be compared.</summary>
    public override string ToString() => $"{kind}{(ignoreCase ? " (ignoring case)" : "")} {pattern?.Text ?? Encoding.UTF8.GetString(text)}".TrimEnd();

    bool Compare(ReadOnlySpan<byte> value) => kind switch
    {
        Kind.Exact => value.SequenceEqual(text),
        Kind.Prefix => value.StartsWith(text),
        Kind.Suffix => value.EndsWith(text),
        _ => value.IndexOf(text) >= 0,
    };

    bool CompareIgnoringCase(ReadOnlySpan<byte> value)
    {
        if (value.Length < text.Length || (kind == Kind.Exact && value.Length > text.Length))
        {
            return false;
        }

        // Of a long value only the part that is compared.
        value = kind switch
        {
            Kind.Prefix => value[..text.Length],
            Kind.Suffix => value[^text.Length..],
            _ => value,
        };
        var rented = value.Length <= MaximumOnStack ? null : ArrayPool<byte>.Shared.Rent(value.Length);
        Span<byte> lower = rented is null ? stackalloc byte[value.Length] : rented.AsSpan(0, value.Length);
        ToLower(value, lower);
        var isMatch = Compare(lower);
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return isMatch;
    }

    /// <summary>Letters of ASCII alone: whatever else is in it stays as it is.</summary>
    static void ToLower(ReadOnlySpan<byte> value, Span<byte> lower)
    {
        for (var i = 0; i < value.Length; i++)
        {
            lower[i] = value[i] is >= (byte)'A' and <= (byte)'Z' ? (byte)(value[i] | 0x20) : value[i];
        }
    }

    bool MatchesRegex(ReadOnlySpan<byte> value)
    {
        var rented = value.Length <= MaximumOnStack ? null : ArrayPool<char>.Shared.Rent(value.Length);
        Span<char> chars = rented is null ? stackalloc char[value.Length] : rented;
        var length = ToChars(value, chars);
        var isMatch = length >= 0 && regex!.IsMatch(chars[..length]);
        if (rented is not null)
        {
            ArrayPool<char>.Shared.Return(rented);
        }

        return isMatch;
    }

    /// <returns>-1 for what is not UTF-8: no regular expression matches the whole of that.</returns>
    int ToChars(ReadOnlySpan<byte> value, Span<char> chars)
    {
        if (Ascii.ToUtf16(value, chars, out var written) == OperationStatus.Done)
        {
            return written;
        }

        if (pattern!.TellsNonAsciiApart)
        {
            return System.Text.Unicode.Utf8.ToUtf16(value, chars, out _, out written, replaceInvalidSequences: false) == OperationStatus.Done ? written : -1;
        }

        for (written = 0; !value.IsEmpty; written++)
        {
            if (Rune.DecodeFromUtf8(value, out var rune, out var consumed) != OperationStatus.Done)
            {
                return -1;
            }

            chars[written] = rune.IsAscii ? (char)rune.Value : Re2Pattern.AnyNonAscii;
            value = value[consumed..];
        }

        return written;
    }
}
