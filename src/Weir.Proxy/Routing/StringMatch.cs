using System.Text;
using System.Text.RegularExpressions;
using Weir.Proxy.Http1;

namespace Weir.Proxy.Routing;

/// <summary>A compiled string matcher over bytes. Regular expressions are of RE2's kind: linear in their input, and of the whole.</summary>
public sealed class StringMatch
{
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
    readonly Regex? regex;

    public static readonly StringMatch Any = new(Kind.Any, "", false);

    StringMatch(Kind kind, string text, bool ignoreCase)
    {
        this.kind = kind;
        this.ignoreCase = ignoreCase;
        this.text = Encoding.UTF8.GetBytes(ignoreCase ? text.ToLowerInvariant() : text);
        if (kind == Kind.Regex)
        {
            var options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant;
            regex = new Regex($"^(?:{text})$", ignoreCase ? options | RegexOptions.IgnoreCase : options);
        }
    }

    public static StringMatch Exact(string text, bool ignoreCase = false) => new(Kind.Exact, text, ignoreCase);

    public static StringMatch Prefix(string text, bool ignoreCase = false) => new(Kind.Prefix, text, ignoreCase);

    /// <exception cref="ArgumentException">Not a regular expression that can be matched in linear time.</exception>
    public static StringMatch Regex(string text, bool ignoreCase = false) => new(Kind.Regex, text, ignoreCase);

    /// <exception cref="ArgumentException">As <see cref="Regex"/>.</exception>
    public static StringMatch From(Envoy.Type.Matcher.V3.StringMatcher matcher) => matcher.MatchPatternCase switch
    {
        Envoy.Type.Matcher.V3.StringMatcher.MatchPatternOneofCase.Exact => Exact(matcher.Exact, matcher.IgnoreCase),
        Envoy.Type.Matcher.V3.StringMatcher.MatchPatternOneofCase.Prefix => Prefix(matcher.Prefix, matcher.IgnoreCase),
        Envoy.Type.Matcher.V3.StringMatcher.MatchPatternOneofCase.Suffix => new(Kind.Suffix, matcher.Suffix, matcher.IgnoreCase),
        Envoy.Type.Matcher.V3.StringMatcher.MatchPatternOneofCase.Contains => new(Kind.Contains, matcher.Contains, matcher.IgnoreCase),
        Envoy.Type.Matcher.V3.StringMatcher.MatchPatternOneofCase.SafeRegex => Regex(matcher.SafeRegex.Regex, matcher.IgnoreCase),
        _ => Any,
    };

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
            Span<byte> lower = value.Length <= 1024 ? stackalloc byte[value.Length] : new byte[value.Length];
            System.Text.Ascii.ToLower(value, lower, out _);
            return Compare(lower);
        }

        return Compare(value);
    }

    public override string ToString() => $"{kind}{(ignoreCase ? " (ignoring case)" : "")} {(regex is null ? Encoding.UTF8.GetString(text) : regex.ToString())}".TrimEnd();

    bool Compare(ReadOnlySpan<byte> value) => kind switch
    {
        Kind.Exact => value.SequenceEqual(text),
        Kind.Prefix => value.StartsWith(text),
        Kind.Suffix => value.EndsWith(text),
        _ => value.IndexOf(text) >= 0,
    };

    bool MatchesRegex(ReadOnlySpan<byte> value)
    {
        Span<char> chars = value.Length <= 1024 ? stackalloc char[value.Length] : new char[value.Length];
        Encoding.Latin1.GetChars(value, chars);
        return regex!.IsMatch(chars);
    }
}
