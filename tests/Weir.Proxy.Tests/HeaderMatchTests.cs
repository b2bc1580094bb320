using System.Text;
using Envoy.Config.Route.V3;
using Envoy.Type.Matcher.V3;
using Envoy.Type.V3;
using Weir.Proxy.Configuration;
using Weir.Proxy.Http;
using Weir.Proxy.Http1;
using Weir.Proxy.Matching;

namespace Weir.Proxy.Tests;

/// <summary>Matchers from their messages, as Envoy documents them.</summary>
public class HeaderMatchTests
{
    static StringMatcher Exact(string text) => new() { Exact = text };

    static bool Matches(HeaderMatcher matcher, string headers)
    {
        var bytes = Encoding.UTF8.GetBytes($"GET /p?q=1 HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        var head = new MessageHead();
        Assert.Equal(ParseError.None, HeadParser.ParseRequest(bytes, bytes.Length, head));
        return MatcherTranslator.Header("headers[0]", matcher).Matches(head, bytes, isSecure: false);
    }

    /// <param name="present">The outcome with <c>x: v</c>, without it, and without it where a missing header is an empty one.</param>
    [Theory]
    [InlineData("", false, "101")]
    [InlineData("", true, "010")]
    [InlineData("present", false, "101")]
    [InlineData("present", true, "010")]
    [InlineData("absent", false, "010")]
    [InlineData("absent", true, "101")]
    [InlineData("v", false, "100")]
    [InlineData("v", true, "001")]
    [InlineData("w", false, "000")]
    [InlineData("w", true, "101")]
    [InlineData("empty", false, "001")]
    [InlineData("empty", true, "100")]
    public void A_header_that_is_missing_meets_no_condition_on_its_value(string condition, bool isInverted, string present)
    {
        var matcher = new HeaderMatcher { Name = "X", InvertMatch = isInverted };
        switch (condition)
        {
            case "":
                break;
            case "present" or "absent":
                matcher.PresentMatch = condition == "present";
                break;
            case "empty":
                matcher.StringMatch = Exact("");
                break;
            default:
                matcher.StringMatch = Exact(condition);
                break;
        }

        var outcome = string.Concat(
            Matches(matcher, "x: v\r\n") ? '1' : '0', Matches(matcher, "y: v\r\n") ? '1' : '0',
            Matches(new HeaderMatcher(matcher) { TreatMissingHeaderAsEmpty = true }, "y: v\r\n") ? '1' : '0');

        Assert.Equal(present, outcome);
    }

    [Theory]
    [InlineData("x: a\r\nx: b\r\n", "a,b", true)]
    [InlineData("x: a\r\nx: b\r\n", "a", false)]
    [InlineData("x: a\r\nX: \r\nx: b\r\n", "a,,b", true)]
    [InlineData("x: a,b\r\n", "a,b", true)]
    public void Several_headers_of_one_name_are_one_list(string headers, string value, bool expected) =>
        Assert.Equal(expected, Matches(new HeaderMatcher { Name = "x", StringMatch = Exact(value) }, headers));

    [Theory]
    [InlineData("-10", true)]
    [InlineData("4", true)]
    [InlineData("5", false)]
    [InlineData("-11", false)]
    [InlineData("3x", false)]
    [InlineData("", false)]
    [InlineData("99999999999999999999", false)]
    public void A_range_is_of_whole_numbers_without_its_end(string value, bool expected) =>
        Assert.Equal(expected, Matches(new HeaderMatcher { Name = "x", RangeMatch = new Int64Range { Start = -10, End = 5 } }, $"x: {value}\r\n"));

    public static TheoryData<HeaderMatcher, bool> Conditions => new()
    {
        { new HeaderMatcher { Name = "x", ExactMatch = "abc" }, true },
        { new HeaderMatcher { Name = "x", ExactMatch = "ab" }, false },
        { new HeaderMatcher { Name = "x", PrefixMatch = "ab" }, true },
        { new HeaderMatcher { Name = "x", SuffixMatch = "bc" }, true },
        { new HeaderMatcher { Name = "x", ContainsMatch = "b" }, true },
        { new HeaderMatcher { Name = "x", SafeRegexMatch = new RegexMatcher { Regex = "a.c" } }, true },
        { new HeaderMatcher { Name = "x", SafeRegexMatch = new RegexMatcher { Regex = "b" } }, false },
        { new HeaderMatcher { Name = "x", StringMatch = new StringMatcher { Exact = "ABC", IgnoreCase = true } }, true },
        { new HeaderMatcher { Name = "x", StringMatch = new StringMatcher { Contains = "B", IgnoreCase = true } }, true },
        { new HeaderMatcher { Name = "x", StringMatch = new StringMatcher { SafeRegex = new RegexMatcher { Regex = "ABC" }, IgnoreCase = true } }, false },
        { new HeaderMatcher { Name = ":method", StringMatch = Exact("GET") }, true },
        { new HeaderMatcher { Name = ":path", StringMatch = Exact("/p?q=1") }, true },
        { new HeaderMatcher { Name = ":scheme", StringMatch = Exact("http") }, true },
        { new HeaderMatcher { Name = ":authority", StringMatch = Exact("h") }, true },
        { new HeaderMatcher { Name = "host", StringMatch = Exact("h") }, true },
    };

    [Theory]
    [MemberData(nameof(Conditions))]
    public void All_kinds_of_conditions_are_carried_out(HeaderMatcher matcher, bool expected) => Assert.Equal(expected, Matches(matcher, "x: abc\r\n"));

    [Theory]
    [InlineData("name", "headers[0].name: it is empty")]
    [InlineData("pseudo", "headers[0].name: :status is not supported")]
    [InlineData("none", "headers[0].string_match: it has no pattern")]
    [InlineData("prefix", "headers[0].string_match.prefix: it is empty, and would match everything")]
    [InlineData("suffix", "headers[0].string_match.suffix: it is empty, and would match everything")]
    [InlineData("contains", "headers[0].string_match.contains: it is empty, and would match everything")]
    [InlineData("regex", "headers[0].string_match.safe_regex: the regular expression is empty")]
    [InlineData("lookahead", "headers[0].string_match.safe_regex: at character 3 of the regular expression: (?! is not in RE2: look-ahead")]
    public void A_matcher_that_would_match_everything_is_refused(string kind, string reason)
    {
        var matcher = new HeaderMatcher { Name = kind switch { "name" => "", "pseudo" => ":status", _ => "x" }, StringMatch = new StringMatcher() };
        switch (kind)
        {
            case "prefix":
                matcher.StringMatch.Prefix = "";
                break;
            case "suffix":
                matcher.StringMatch.Suffix = "";
                break;
            case "contains":
                matcher.StringMatch.Contains = "";
                break;
            case "regex" or "lookahead":
                matcher.StringMatch.SafeRegex = new RegexMatcher { Regex = kind == "regex" ? "" : "(?!admin).*" };
                break;
        }

        Assert.Equal(reason, Assert.Throws<ConfigException>(() => MatcherTranslator.Header("headers[0]", matcher)).Message);
    }

    [Theory]
    [InlineData("a=1&b", "1")]
    [InlineData("a=2", "0")]
    [InlineData("b", "0")]
    [InlineData("", "0")]
    public void A_parameter_is_matched_by_value(string query, string expected)
    {
        var match = MatcherTranslator.Query("q", new QueryParameterMatcher { Name = "a", StringMatch = Exact("1") });

        Assert.Equal(expected == "1", match.Matches(Encoding.ASCII.GetBytes(query)));
    }

    [Fact]
    public void A_parameter_may_have_to_be_there_or_not()
    {
        QueryParameterMatcher Present(bool isPresent) => new() { Name = "a", PresentMatch = isPresent };

        Assert.True(MatcherTranslator.Query("q", Present(true)).Matches("a"u8));
        Assert.False(MatcherTranslator.Query("q", Present(true)).Matches("b"u8));
        Assert.False(MatcherTranslator.Query("q", Present(false)).Matches("a=1"u8));
        Assert.True(MatcherTranslator.Query("q", Present(false)).Matches("b"u8));
        Assert.True(MatcherTranslator.Query("q", new QueryParameterMatcher { Name = "a" }).Matches("a"u8));
        Assert.Throws<ConfigException>(() => MatcherTranslator.Query("q", new QueryParameterMatcher { Name = "a", StringMatch = new StringMatcher() }));
        Assert.Throws<ConfigException>(() => MatcherTranslator.Query("q", new QueryParameterMatcher { PresentMatch = true }));
    }
}
