using System.Text;
using Weir.Proxy.Matching;

namespace Weir.Proxy.Tests;

/// <summary>RE2's documented syntax (github.com/google/re2/wiki/Syntax), row by row, against the whole of a text as Envoy matches.</summary>
public class Re2PatternTests
{
    static bool Matches(string pattern, string text) => StringMatch.Regex(pattern).Matches(Encoding.UTF8.GetBytes(text));

    /// <param name="yes">Texts it matches; texts it does not stand after them.</param>
    [Theory]

    // Single characters.
    [InlineData(".", "a é 😀", "\n ab")]
    [InlineData("(?s).", "a \n", "ab")]
    [InlineData("[xyz]", "x y", "a")]
    [InlineData("[^xyz]", "a é \n 😀", "x ab")]
    [InlineData(@"\d", "0 9", "a ٣")]
    [InlineData(@"\D", "a ٣", "0")]
    [InlineData("[[:alpha:]]", "a Z", "0 é")]
    [InlineData("[[:^alpha:]]", "0 é", "a")]
    [InlineData(@"\pN", "1 ٣ Ⅳ 𝟘", "a")]
    [InlineData(@"\p{Lu}", "A É 𝒜", "a 1")]
    [InlineData(@"\PN", "a 😀", "1 𝟘")]
    [InlineData(@"\P{Lu}", "a", "A")]
    [InlineData(@"\p{^Lu}", "a", "A")]
    [InlineData(@"\p{Any}", "a 😀 \n", "ab")]

    // Composites and repetitions, greedy and not.
    [InlineData("xy", "xy", "x y")]
    [InlineData("x|y", "x y", "xy")]
    [InlineData("x|", "x", "y")]
    [InlineData("x*y+z?", "y xxyyz", "x xz")]
    [InlineData("x*?y+?z??", "y xxyyz", "x xz")]
    [InlineData("x{2,3}", "xx xxx", "x xxxx")]
    [InlineData("x{2,}", "xx xxxxx", "x")]
    [InlineData("x{2}", "xx", "x xxx")]
    [InlineData("x{2,3}?x{0}", "xx xxx", "x xxxx")]
    [InlineData("x{2}?", "xx", "x")]
    [InlineData("x{,2}", "x{,2}", "x xx")]
    [InlineData("x{a}{01}", "x{a}{01}", "x")]
    [InlineData("{", "{", "x")]
    [InlineData("}]", "}]", "x")]
    [InlineData("x{1000}", "", "x")]

    // Groups and flags.
    [InlineData("(ab)+", "ab abab", "a")]
    [InlineData("(?P<name>ab)(?<other_1>c)", "abc", "ab")]
    [InlineData("(?:ab)*c", "c ababc", "ab")]
    [InlineData("()", "", "a")]
    [InlineData("(?i)ab", "ab AB", "cd")]
    [InlineData("a(?i)b|c", "ab aB c C", "AB")]
    [InlineData("(a(?i)b)c", "abc aBc", "aBC")]
    [InlineData("(?i:a)b", "ab Ab", "aB")]
    [InlineData("(?i-s:A).", "ab", "ab\n")]
    [InlineData("(?is)a.", "A\n", "b")]
    [InlineData("(?U)a+b*?", "a aab", "b")]
    [InlineData("(?-i)a", "a", "A")]
    [InlineData("(?i)É", "é É", "E")]
    [InlineData("(?i)k", "k K \u212A", "s")]
    [InlineData("(?i)[r-t]", "s S \u017F", "k")]
    [InlineData("(?i)[^k]", "s", "k K \u212A")]
    [InlineData("(?i)Σ", "σ ς Σ", "s")]
    [InlineData("(?i)𐐀", "𐐨 𐐀", "a")]

    // Empty strings.
    [InlineData("^a$", "a", "a\n \na")]
    [InlineData(@"\Aa\z", "a", "a\n")]
    [InlineData("(?m)^a$\n^b$", "a\nb", "a\n b")]
    [InlineData("(?s).*(?m:^)b", "b a\nb", "ab")]
    [InlineData("^*a$*", "a", "b")]
    [InlineData(@"a\b.*", "a a-b aé", "ab")]
    [InlineData(@"a\B.*", "ab a_", "a a-b aé")]
    [InlineData(@"(?i)\bkeep\b", "keep KEEP", "keeps")]

    // Escapes.
    [InlineData(@"\a\f\t\n\r\v", "\a\f\t\n\r\v", "a")]
    [InlineData(@"\001\12\0", "\u0001\n\0", "1")]
    [InlineData(@"\101", "A", "101")]
    [InlineData(@"\x41\x{41}\x{1F600}", "AA😀", "AA")]
    [InlineData(@"\*\.\_\-\/\ \<", "*._-/ <", "a")]
    [InlineData(@"\Qa.b*\E*", "a.b a.b** a.b", "aXb")]
    [InlineData(@"\Q.+", ".+", "ab")]
    [InlineData("a b", "a b", "ab")]
    [InlineData("#a'\"<>&", "#a'\"<>&", "a")]

    // In classes.
    [InlineData("[]a]", "] a", "b")]
    [InlineData("[^]a]", "b", "] a")]
    [InlineData("[a-]", "a -", "b")]
    [InlineData("[-a]", "a -", "b")]
    [InlineData("[a-c-e]", "b - e", "d")]
    [InlineData(@"[\d_]", "1 _", "a")]
    [InlineData(@"[^\D]", "1", "a")]
    [InlineData(@"[\]\\\-^]", "] \\ - ^", "a")]
    [InlineData(@"[\p{Lu}\x{1F600}-\x{1F64F}]", "A 😀", "a 🚀")]
    [InlineData(@"[^\x{1F600}-\x{1F64F}]", "a 🚀", "😀")]
    [InlineData(@"[\x00-\x{10FFFF}]", "a 😀", "ab")]
    [InlineData("[[:alnum:][:punct:]]", "a 1 !", "é")]
    [InlineData("[[:a]", "[ : a", "b")]
    [InlineData("[&&a]", "& a", "b")]
    [InlineData("[a-z-[b]]", "a] -] []", "c")]
    [InlineData("[é]", "é", "e è")]
    [InlineData(@"\w+", "a_1", "aé")]
    [InlineData(@"\s", "\t \r \f", "\v \u00A0")]
    [InlineData(@"[[:space:]]", "\v", "\u00A0")]
    [InlineData(@"\W\S", "éa", "a")]
    public void Means_what_re2_means(string pattern, string yes, string no)
    {
        foreach (var text in yes.Split(' ', StringSplitOptions.RemoveEmptyEntries).DefaultIfEmpty(yes))
        {
            if (!(pattern.Contains("1000", StringComparison.Ordinal) || pattern.Contains(' ', StringComparison.Ordinal) || pattern.Contains(@"\ ", StringComparison.Ordinal)))
            {
                Assert.True(Matches(pattern, text), $"{pattern} should match \"{text}\"");
            }
        }

        Assert.All(no.Split(' ', StringSplitOptions.RemoveEmptyEntries), text => Assert.False(Matches(pattern, text), $"{pattern} should not match \"{text}\""));
    }

    [Theory]
    [InlineData("a b", "a b")]
    [InlineData(@"\*\.\_\-\/\ \<", "*._-/ <")]
    [InlineData("x|", "")]
    [InlineData(" *", "   ")]
    [InlineData("", null)]
    public void Spaces_stand_for_themselves(string pattern, string? text)
    {
        if (text is null)
        {
            Assert.Throws<FormatException>(() => StringMatch.Regex(pattern));
        }
        else
        {
            Assert.True(Matches(pattern, text));
        }
    }

    [Theory]
    [InlineData("(?!admin).*", "look-ahead")]
    [InlineData("(?=a)", "look-ahead")]
    [InlineData("(?<=a)b", "look-behind")]
    [InlineData("(?<!a)b", "look-behind")]
    [InlineData("(?>a)", "atomic group")]
    [InlineData("(?|a)", "branch reset")]
    [InlineData("(?#a)", "comment")]
    [InlineData("(?(1)a|b)", "condition")]
    [InlineData("(?R)", "recursion")]
    [InlineData("(?1)", "recursion")]
    [InlineData("(?P>n)", "recursion by name")]
    [InlineData("(?P<n>a)(?P=n)", "back reference")]
    [InlineData(@"(a)\1", "back references")]
    [InlineData(@"\8", "back references")]
    [InlineData(@"(?<a>b)\k<a>", @"\k is not in RE2")]
    [InlineData("(?'n'a)", "is not in RE2")]
    [InlineData("(?x)a", "unknown flags")]
    [InlineData("(?n)a", "unknown flags")]
    [InlineData("(?i-)a", "unknown flags")]
    [InlineData("(?P<a>b)(?P<a>c)", "two groups are named a")]
    [InlineData("(?P<>b)", "a group's name")]
    [InlineData("(?P<a-b>c)", "a group's name")]
    [InlineData("a*+", "possessive")]
    [InlineData("a{2}+", "possessive")]
    [InlineData("a**", "after another")]
    [InlineData("a+??", "after another")]
    [InlineData("*a", "without anything before it")]
    [InlineData("a|*", "without anything before it")]
    [InlineData("(+a)", "without anything before it")]
    [InlineData("a{1001}", "not above 1000")]
    [InlineData("a{2,1001}", "not above 1000")]
    [InlineData("a{3,2}", "must rise")]
    [InlineData("a{99999999999}", "not above 1000")]
    [InlineData("(a{100}){100}", "repetitions within repetitions")]
    [InlineData("((a{10}){10}){11}", "repetitions within repetitions")]
    [InlineData("(aaaaaa){1000}", "too large")]
    [InlineData("(", "closing parenthesis is missing")]
    [InlineData("(?i", "ends too early")]
    [InlineData(")", "without an opening one")]
    [InlineData("a)b(", "without an opening one")]
    [InlineData("[a", "closing bracket is missing")]
    [InlineData("[]", "closing bracket is missing")]
    [InlineData("[z-a]", "ends before it begins")]
    [InlineData(@"[a-\d]", @"\d is not in RE2")]
    [InlineData("[[:foo:]]", "[:foo:] is no class")]
    [InlineData(@"[\b]", @"\b is not in RE2")]
    [InlineData(@"a\", "backslash at the end")]
    [InlineData(@"\Z", @"\Z is not in RE2")]
    [InlineData(@"\G", @"\G is not in RE2")]
    [InlineData(@"\cA", @"\c is not in RE2")]
    [InlineData(@"\e", @"\e is not in RE2")]
    [InlineData(@"\q", @"\q is not in RE2")]
    [InlineData(@"\E", @"\E is not in RE2")]
    [InlineData(@"\é", @"\é is not in RE2")]
    [InlineData(@"\C", @"\C is not supported")]
    [InlineData(@"\x{110000}", "no character")]
    [InlineData(@"\x{}", "no character")]
    [InlineData(@"\xg0", "no character")]
    [InlineData(@"\x{D800}", "no character")]
    [InlineData(@"\p{Greek}", "scripts are not")]
    [InlineData(@"\p{IsGreek}", "scripts are not")]
    [InlineData(@"\pX", "general categories are")]
    [InlineData(@"é\b", @"\b and \B are not supported beside characters beyond ASCII")]
    public void Refuses_by_name_what_re2_does_not_have(string pattern, string reason) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => StringMatch.Regex(pattern)).Message);

    [Fact]
    public void Depth_and_length_are_bounded()
    {
        Assert.Throws<FormatException>(() => StringMatch.Regex(new string('(', 10_000)));
        Assert.Throws<FormatException>(() => StringMatch.Regex(new string('a', Re2Pattern.MaximumLength + 1)));
        Assert.True(Matches(new string('a', Re2Pattern.MaximumSize), new string('a', Re2Pattern.MaximumSize)));
        Assert.True(Matches("x{1000}", new string('x', 1000)));
    }

    /// <summary>The whole cannot be matched where a byte of it is no character; a class of .NET's must not take it for one.</summary>
    [Theory]
    [InlineData("(?s).*")]
    [InlineData("[^é]*")]
    [InlineData(@"a\xFF")]
    public void Texts_that_are_not_utf8_do_not_match(string pattern) => Assert.False(StringMatch.Regex(pattern).Matches([(byte)'a', 0xFF]));

    /// <summary>Whatever is accepted compiles, and whatever is refused is refused in words.</summary>
    [Fact]
    public void Arbitrary_patterns_are_compiled_or_refused()
    {
        const int seed = 20261124;
        var random = new Random(seed);
        string[] parts =
        [
            "a", "b", "é", "😀", ".", "*", "+", "?", "{2}", "{2,}", "{0,3}", "|", "(", ")", "(?:", "(?i)", "(?P<n>", "[", "]", "^", "$", "-", "\\", "\\d", "\\W", "\\pL", "\\P{N}",
            "\\b", "\\A", "\\z", "\\Q", "\\E", "[:alpha:]", "[^", "\\x{1F600}", "\\n", "'", "<", "#", " ",
        ];
        var compiled = 0;
        for (var i = 0; i < 1000; i++)
        {
            var pattern = string.Concat(Enumerable.Range(0, random.Next(1, 9)).Select(_ => parts[random.Next(parts.Length)]));
            try
            {
                _ = Matches(pattern, "abé😀");
                compiled++;
            }
            catch (FormatException e)
            {
                Assert.False(e.Message.Contains("cannot be compiled", StringComparison.Ordinal), $"{pattern}: {e.Message}");
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}: {pattern}: {e}");
            }
        }

        Assert.InRange(compiled, 100, 900);
    }
}
