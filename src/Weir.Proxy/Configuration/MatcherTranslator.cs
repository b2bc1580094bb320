using System.Text;
using Envoy.Config.Route.V3;
using Envoy.Type.Matcher.V3;
using Weir.Proxy.Matching;
using Weir.Proxy.Routing;
using Patterns = Envoy.Type.Matcher.V3.StringMatcher.MatchPatternOneofCase;
using Specifiers = Envoy.Config.Route.V3.HeaderMatcher.HeaderMatchSpecifierOneofCase;

namespace Weir.Proxy.Configuration;

/// <summary>Matchers of texts, headers and parameters from their messages. One without a pattern matches nothing that could be meant.</summary>
static class MatcherTranslator
{
    /// <param name="field">Where it stands, for the reason of a refusal.</param>
    public static StringMatch Text(string field, StringMatcher? matcher) => matcher?.MatchPatternCase switch
    {
        Patterns.Exact => StringMatch.Exact(matcher.Exact, matcher.IgnoreCase),
        Patterns.Prefix => StringMatch.Prefix(NotEmpty($"{field}.prefix", matcher.Prefix), matcher.IgnoreCase),
        Patterns.Suffix => StringMatch.Suffix(NotEmpty($"{field}.suffix", matcher.Suffix), matcher.IgnoreCase),
        Patterns.Contains => StringMatch.Contains(NotEmpty($"{field}.contains", matcher.Contains), matcher.IgnoreCase),

        // ignore_case has no effect on regular expressions: (?i) has.
        Patterns.SafeRegex => Regex($"{field}.safe_regex", matcher.SafeRegex),
        _ => throw new ConfigException($"{field}: it has no pattern"),
    };

    public static StringMatch Regex(string field, RegexMatcher matcher)
    {
        try
        {
            return StringMatch.Regex(matcher.Regex);
        }
        catch (FormatException e)
        {
            throw new ConfigException($"{field}: {e.Message}");
        }
    }

    public static HeaderMatch Header(string field, HeaderMatcher matcher)
    {
        var name = matcher.Name.ToLowerInvariant();
        if (name.Length == 0)
        {
            throw new ConfigException($"{field}.name: it is empty");
        }

        if (name[0] == ':' && name is not (":method" or ":authority" or ":scheme" or ":path"))
        {
            throw new ConfigException($"{field}.name: {name} is not supported");
        }

        var (presence, value, range) = Condition(field, matcher);
        return new HeaderMatch(
            Encoding.UTF8.GetBytes(name == "host" ? ":authority" : name), presence, value, range, matcher.InvertMatch, matcher.TreatMissingHeaderAsEmpty);
    }

    static (bool? IsPresent, StringMatch? Value, (long, long)? Range) Condition(string field, HeaderMatcher matcher) => matcher.HeaderMatchSpecifierCase switch
    {
        // Without a condition it is that the header is there.
        Specifiers.None => (true, null, null),
        Specifiers.PresentMatch => (matcher.PresentMatch, null, null),
        Specifiers.StringMatch => (null, Text($"{field}.string_match", matcher.StringMatch), null),
        Specifiers.ExactMatch => (null, StringMatch.Exact(matcher.ExactMatch), null),
        Specifiers.PrefixMatch => (null, StringMatch.Prefix(NotEmpty($"{field}.prefix_match", matcher.PrefixMatch)), null),
        Specifiers.SuffixMatch => (null, StringMatch.Suffix(NotEmpty($"{field}.suffix_match", matcher.SuffixMatch)), null),
        Specifiers.ContainsMatch => (null, StringMatch.Contains(NotEmpty($"{field}.contains_match", matcher.ContainsMatch)), null),
        Specifiers.SafeRegexMatch => (null, Regex($"{field}.safe_regex_match", matcher.SafeRegexMatch), null),
        _ => (null, null, (matcher.RangeMatch.Start, matcher.RangeMatch.End)),
    };

    public static QueryMatch Query(string field, QueryParameterMatcher matcher)
    {
        if (matcher.Name.Length == 0)
        {
            throw new ConfigException($"{field}.name: it is empty");
        }

        var name = Encoding.UTF8.GetBytes(matcher.Name);
        return matcher.QueryParameterMatchSpecifierCase switch
        {
            QueryParameterMatcher.QueryParameterMatchSpecifierOneofCase.StringMatch => new(name, null, Text($"{field}.string_match", matcher.StringMatch)),
            QueryParameterMatcher.QueryParameterMatchSpecifierOneofCase.PresentMatch => new(name, matcher.PresentMatch, null),
            _ => new(name, true, null),
        };
    }

    static string NotEmpty(string field, string text) => text.Length > 0 ? text : throw new ConfigException($"{field}: it is empty, and would match everything");
}
