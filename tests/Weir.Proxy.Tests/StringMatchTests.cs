using System.Text;
using Weir.Proxy.Matching;

namespace Weir.Proxy.Tests;

public class StringMatchTests
{
    /// <summary>Longer than what is compared on the stack.</summary>
    static readonly string Long = new('x', 3000);

    static bool Matches(StringMatch match, string text) => match.Matches(Encoding.UTF8.GetBytes(text));

    [Theory]
    [InlineData("Ab", "aB", true, true, true, true)]
    [InlineData("Ab", "aBc", false, true, false, true)]
    [InlineData("Ab", "caB", false, false, true, true)]
    [InlineData("Ab", "cabc", false, false, false, true)]
    [InlineData("Ab", "a", false, false, false, false)]
    [InlineData("Ab", "", false, false, false, false)]
    [InlineData("", "a", false, true, true, true)]
    [InlineData("é1", "é1", true, true, true, true)]
    [InlineData("É1", "é1", false, false, false, false)]
    [InlineData("[", "{", false, false, false, false)]
    [InlineData("@", "`", false, false, false, false)]
    public void Letters_of_ascii_alone_are_the_same_in_both_cases(string pattern, string text, bool exact, bool prefix, bool suffix, bool contains)
    {
        Assert.Equal(exact, Matches(StringMatch.Exact(pattern, ignoreCase: true), text));
        Assert.Equal(prefix, Matches(StringMatch.Prefix(pattern, ignoreCase: true), text));
        Assert.Equal(suffix, Matches(StringMatch.Suffix(pattern, ignoreCase: true), text));
        Assert.Equal(contains, Matches(StringMatch.Contains(pattern, ignoreCase: true), text));
    }

    [Fact]
    public void Long_texts_are_matched_like_short_ones()
    {
        Assert.True(Matches(StringMatch.Exact(Long, ignoreCase: true), Long.ToUpperInvariant()));
        Assert.False(Matches(StringMatch.Exact(Long, ignoreCase: true), Long + "x"));
        Assert.True(Matches(StringMatch.Prefix("XA", ignoreCase: true), "xa" + Long));
        Assert.True(Matches(StringMatch.Suffix("AX", ignoreCase: true), Long + "ax"));
        Assert.True(Matches(StringMatch.Contains("XA", ignoreCase: true), Long + "a" + Long));
        Assert.False(Matches(StringMatch.Contains("b", ignoreCase: true), Long + "a" + Long));
    }
}
