using System.Text;
using Weir.Proxy.Filters;

namespace Weir.Proxy.Tests;

public class PathRulesTests
{
    static (PathVerdict, string) Apply(PathRules rules, string path)
    {
        var bytes = Encoding.Latin1.GetBytes(path);
        var verdict = rules.Apply(bytes, out var length);
        return (verdict == PathVerdict.Changed ? PathVerdict.Unchanged : verdict, verdict == PathVerdict.Unsafe ? "" : Encoding.Latin1.GetString(bytes, 0, length));
    }

    [Theory]
    [InlineData("/", "/")]
    [InlineData("/a/b", "/a/b")]
    [InlineData("/a/./b", "/a/b")]
    [InlineData("/a/../b", "/b")]
    [InlineData("/a/b/..", "/a/")]
    [InlineData("/a/.", "/a/")]
    [InlineData("/..", "/")]
    [InlineData("/../../etc/passwd", "/etc/passwd")]
    [InlineData("/a/%2e%2E/b", "/b")]
    [InlineData("/%61dmin", "/admin")]
    [InlineData("/a%7Eb%2Dc", "/a~b-c")]
    [InlineData("/a%20b", "/a%20b")]
    [InlineData("/a\\..\\b", "/b")]
    [InlineData("/a%2fb", "/a%2fb")]
    [InlineData("//a//b", "//a//b")]
    [InlineData("/x/..//admin", "//admin")]
    [InlineData("/...", "/...")]
    [InlineData("/..a", "/..a")]
    public void Dot_segments_and_needless_escapes_are_removed(string path, string expected) =>
        Assert.Equal((PathVerdict.Unchanged, expected), Apply(new PathRules(true, false, EscapedSlashes.Keep), path));

    [Theory]
    [InlineData("/a%zz")]
    [InlineData("/a%")]
    [InlineData("/a%4")]
    [InlineData("/a%00b")]
    public void Escapes_that_are_none_and_nul_are_unsafe(string path) =>
        Assert.Equal(PathVerdict.Unsafe, Apply(new PathRules(true, false, EscapedSlashes.Keep), path).Item1);

    [Theory]
    [InlineData("//a///b/", "/a/b/")]
    [InlineData("/a/..//b", "/a/../b")]
    public void Slashes_are_merged(string path, string expected) =>
        Assert.Equal((PathVerdict.Unchanged, expected), Apply(new PathRules(false, true, EscapedSlashes.Keep), path));

    [Theory]
    [InlineData(EscapedSlashes.Keep, "/a%2Fb", PathVerdict.Unchanged, "/a%2Fb")]
    [InlineData(EscapedSlashes.Reject, "/a%2Fb", PathVerdict.Unsafe, "")]
    [InlineData(EscapedSlashes.Reject, "/a%5cb", PathVerdict.Unsafe, "")]
    [InlineData(EscapedSlashes.Reject, "/a/b", PathVerdict.Unchanged, "/a/b")]
    [InlineData(EscapedSlashes.UnescapeAndRedirect, "/a%2F..%2fb", PathVerdict.Redirect, "/b")]
    [InlineData(EscapedSlashes.UnescapeAndForward, "/a%2F..%2fb", PathVerdict.Unchanged, "/b")]
    [InlineData(EscapedSlashes.UnescapeAndForward, "/%2Fevil", PathVerdict.Unchanged, "//evil")]
    public void Escaped_slashes_are_treated_as_configured(EscapedSlashes action, string path, PathVerdict verdict, string expected) =>
        Assert.Equal((verdict, expected), Apply(new PathRules(true, false, action), path));

    /// <summary>A location that begins with two slashes is another host's, and browsers take backslashes for slashes.</summary>
    [Theory]
    [InlineData("/%2Fevil", "/evil")]
    [InlineData("/%5Cevil", "/evil")]
    [InlineData("/%2F%5c%2f/evil/%2F", "/evil//")]
    [InlineData("//evil/a%2Fb", "/evil/a/b")]
    [InlineData("/%2F", "/")]
    [InlineData("/a%2F", "/a/")]
    public void A_redirect_never_leads_to_another_host(string path, string expected)
    {
        Assert.Equal((PathVerdict.Redirect, expected), Apply(new PathRules(false, false, EscapedSlashes.UnescapeAndRedirect), path));
        Assert.Equal((PathVerdict.Redirect, expected), Apply(new PathRules(true, false, EscapedSlashes.UnescapeAndRedirect), path));
    }

    [Fact]
    public void Normalising_twice_changes_nothing_more()
    {
        var random = new Random(7);
        var rules = new PathRules(true, true, EscapedSlashes.UnescapeAndForward);
        string[] parts = ["/", ".", "..", "%2e", "%2f", "a", "%41", "\\", "//", "b.c", "%7e"];
        for (var i = 0; i < 5000; i++)
        {
            var path = "/" + string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => parts[random.Next(parts.Length)]));
            var (verdict, once) = Apply(rules, path);
            Assert.NotEqual(PathVerdict.Unsafe, verdict);
            Assert.Equal((PathVerdict.Unchanged, once), Apply(rules, once));
            Assert.DoesNotContain("/../", once + "/");
            Assert.StartsWith("/", once);
        }
    }
}
