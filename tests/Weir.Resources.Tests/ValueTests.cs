using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Weir.Resources.Values;
using Weir.Resources.Yaml;

namespace Weir.Resources.Tests;

public class ValueTests
{
    [Theory]
    [InlineData("1h2m3.5s", 3723.5)]
    [InlineData("300ms", 0.3)]
    [InlineData("0", 0)]
    [InlineData("-1.5h", -5400)]
    public void Go_durations_are_read(string text, double seconds)
    {
        Assert.True(GoDuration.TryParse(text, out var duration));
        Assert.Equal(seconds, duration.TotalSeconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("1d")]
    [InlineData("s")]
    [InlineData("1s2")]
    public void What_is_no_go_duration_is_refused(string text) => Assert.False(GoDuration.TryParse(text, out _));

    [Theory]
    [InlineData(1515, "1.515s")]
    [InlineData(500, "500ms")]
    [InlineData(90_000, "1m30s")]
    [InlineData(3600_000, "1h0m0s")]
    public void Durations_are_written_as_go_writes_them(int milliseconds, string expected) =>
        Assert.Equal(expected, GoDuration.Format(TimeSpan.FromMilliseconds(milliseconds)));

    [Fact]
    public void Writing_and_reading_a_duration_is_identity() =>
        Prop.ForAll<int>(ms => GoDuration.TryParse(GoDuration.Format(TimeSpan.FromMilliseconds(ms)), out var back) && back == TimeSpan.FromMilliseconds(ms))
            .QuickCheckThrowOnFailure();

    [Fact]
    public void Yaml_of_any_text_reads_back_as_that_text() =>
        Prop.ForAll<NonNull<string>>(text =>
        {
            // Surrogates and controls have no YAML form; Kubernetes refuses them too.
            var clean = new string([.. text.Get.Where(c => !char.IsSurrogate(c) && (c >= ' ' || c == '\n') && c is not ('\u007f' or '\ufeff' or '\u0085' or '\u2028' or '\u2029') && c < '\ufffe' && !(c >= '\u0080' && c < '\u00a0'))]).Trim('\n');
            var json = new JsonObject { ["a"] = clean, ["b"] = new JsonArray(clean, 1, true, null) };
            return JsonNode.DeepEquals(json, YamlReader.Parse(YamlWriter.Write(json))[0]);
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("a: [1, 0x10, 1.5, true, null, '1', \"t\\n\"]", """{"a":[1,16,1.5,true,null,"1","t\n"]}""")]
    [InlineData("a: &x {b: c}\nd: *x\ne: {<<: *x, f: g}", """{"a":{"b":"c"},"d":{"b":"c"},"e":{"b":"c","f":"g"}}""")]
    [InlineData("a: |\n  one\n  two\n", """{"a":"one\ntwo\n"}""")]
    public void Yaml_becomes_json(string yaml, string json) =>
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(json), YamlReader.Parse(yaml)[0]), YamlReader.Parse(yaml)[0].ToJsonString());

    [Theory]
    [InlineData("a: [")]
    [InlineData("a: b: c")]
    [InlineData("a: 1\na: 2")]
    [InlineData("a: *nowhere")]
    public void What_is_no_yaml_is_refused_with_its_line(string yaml)
    {
        var error = Assert.Throws<YamlSyntaxException>(() => YamlReader.Parse(yaml));
        Assert.StartsWith("yaml: line ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Aliases_cannot_make_a_small_document_huge()
    {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + string.Concat(Enumerable.Range(1, 8)
            .Select(i => $"a{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 10))}]\n"));

        var error = Assert.Throws<YamlSyntaxException>(() => YamlReader.Parse(bomb));
        Assert.Contains("the aliases stand for more than", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a=b", true)]
    [InlineData("a!=b", false)]
    [InlineData("a in (b, c),d", true)]
    [InlineData("a notin (b)", false)]
    [InlineData("!x", true)]
    [InlineData("x", false)]
    public void Selectors_select(string selector, bool expected) =>
        Assert.Equal(expected, LabelSelector.Parse(selector).Matches(new Dictionary<string, string> { ["a"] = "b", ["d"] = "" }));

    [Theory]
    [InlineData("100m", 0.1)]
    [InlineData("64Mi", 67108864)]
    [InlineData("1e3", 1000)]
    [InlineData("2G", 2e9)]
    public void Quantities_are_read(string text, double expected)
    {
        Assert.True(Quantity.TryParse(text, out var value));
        Assert.Equal(expected, value, 6);
    }

    [Theory]
    [InlineData(90, "90s")]
    [InlineData(150, "2m30s")]
    [InlineData(3 * 3600, "3h")]
    [InlineData(50 * 3600, "2d2h")]
    public void Ages_read_as_in_kubectl(int seconds, string expected) => Assert.Equal(expected, HumanDuration.Format(TimeSpan.FromSeconds(seconds)));
}
