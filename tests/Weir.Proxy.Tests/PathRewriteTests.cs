using System.Text;
using Weir.Proxy.Filters;

namespace Weir.Proxy.Tests;

public class PathRewriteTests
{
    /// <summary>Targets are as the parser leaves them: empty, or the query alone, for an absolute one without a path.</summary>
    [Theory]
    [InlineData("/a?b", "", 0, "/a?b")]
    [InlineData("/", "", 1, "/")]
    [InlineData("", "", 1, "/")]
    [InlineData("?b", "", 1, "/?b")]
    [InlineData("*", "", 1, "*")]
    [InlineData("/", "/app", 1, "/app")]
    [InlineData("/?b", "/app", 1, "/app?b")]
    [InlineData("", "/app", 1, "/app")]
    [InlineData("?b", "/app", 1, "/app?b")]
    [InlineData("/old/x?b", "/new", 4, "/new/x?b")]
    [InlineData("/old", "/new", 4, "/new")]
    [InlineData("/old?b", "/new", 4, "/new?b")]
    [InlineData("*", "/app", 1, "*")]
    public void What_was_matched_is_replaced(string target, string replacement, int matched, string expected)
    {
        var rewritten = PathRewrite.Of(Encoding.ASCII.GetBytes(target), Encoding.ASCII.GetBytes(replacement), matched);

        Assert.Equal(expected, Encoding.ASCII.GetString(rewritten.First) + Encoding.ASCII.GetString(rewritten.Rest));
        Assert.Equal(expected.Length, rewritten.Length);
    }
}
