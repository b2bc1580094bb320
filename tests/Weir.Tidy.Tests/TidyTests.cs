using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Weir.Tidy.Tests;

/// <summary>The shape of the code, held by tests: what a reviewer should not have to look for.</summary>
public partial class TidyTests
{
    /// <summary>The flow: a stage may refer to those before it, never to those after it.</summary>
    static readonly string[] Stages =
    [
        "Weir.Resources", "Weir.Client", "Weir.ApiServer", "Weir.Controllers", "Weir.Node", "Weir.Identity", "Weir.Mesh", "Weir.Dialects",
        "Weir.Xds", "Weir.ProxyConfig", "Weir.Proxy", "Weir.Telemetry", "Weir.Delivery",
    ];

    /// <summary>What the data-plane program may load.</summary>
    static readonly string[] DataPlane = ["Weir.Xds", "Weir.Proxy"];

    internal static readonly string Root = FindRoot();

    [GeneratedRegex(@"`((?:src|apps|samples|tests|bench|docs|eng|deploy)/[\w./\-]+)`")]
    private static partial Regex PathInText();

    static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory!.FullName, "weir.slnx")))
        {
            directory = directory.Parent;
        }

        return directory.FullName;
    }

    static IEnumerable<string> Sources(string pattern) => new[] { "src", "apps", "samples", "tests", "bench", "eng", "docs" }
        .Select(d => Path.Combine(Root, d)).Where(Directory.Exists)
        .SelectMany(d => Directory.EnumerateFiles(d, pattern, SearchOption.AllDirectories))
        .Where(f => !Regex.IsMatch(f, @"/(bin|obj|obj-aot)/"));

    static IEnumerable<string> References(string project) =>
        XDocument.Load(project).Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value));

    [Fact]
    public void References_point_only_up_the_flow()
    {
        foreach (var stage in Stages)
        {
            var project = Path.Combine(Root, "src", stage, stage + ".csproj");
            var later = References(project).Where(r => Array.IndexOf(Stages, r) >= Array.IndexOf(Stages, stage)).ToList();
            Assert.True(later.Count == 0, $"{stage} refers to {string.Join(", ", later)}, which come after it in the flow");
        }
    }

    [Fact]
    public void Every_project_under_src_is_a_stage() =>
        Assert.Equal(Stages.Order(), Directory.GetDirectories(Path.Combine(Root, "src")).Select(d => Path.GetFileName(d)).Order());

    [Fact]
    public void The_proxy_loads_only_the_data_plane()
    {
        Assert.Equal(["Weir.Proxy"], References(Path.Combine(Root, "apps/Weir.Proxy/Weir.Proxy.App.csproj")));
        foreach (var stage in DataPlane)
        {
            Assert.Empty(References(Path.Combine(Root, "src", stage, stage + ".csproj")).Except(DataPlane));
        }
    }

    [Fact]
    public void The_proxy_keeps_away_from_protobuf_reflection()
    {
        foreach (var file in Sources("*.cs").Where(f => f.Contains("/Weir.Proxy/", StringComparison.Ordinal) || f.Contains("/src/Weir.Xds/", StringComparison.Ordinal)))
        {
            var text = File.ReadAllText(file);
            foreach (var banned in new[] { "Any\\.Pack", "\\.Unpack<", "JsonFormatter", "[A-Z]\\w*\\.Descriptor\\b" })
            {
                Assert.False(System.Text.RegularExpressions.Regex.IsMatch(text, banned), $"{file} uses {banned}, which loads every message descriptor");
            }
        }
    }

    [Fact]
    public void Paths_named_in_documents_exist()
    {
        foreach (var document in Sources("*.md").Append(Path.Combine(Root, "README.md")).Append(Path.Combine(Root, "CONTRIBUTING.md")))
        {
            foreach (Match match in PathInText().Matches(File.ReadAllText(document)))
            {
                var path = Path.Combine(Root, match.Groups[1].Value.TrimEnd('/'));
                Assert.True(File.Exists(path) || Directory.Exists(path), $"{document} names {match.Groups[1].Value}, which does not exist");
            }
        }
    }

    [Fact]
    public void Decisions_are_numbered_once()
    {
        var numbers = Directory.GetFiles(Path.Combine(Root, "docs/adr"), "*.md").Select(f => Path.GetFileName(f)[..4]).ToList();
        Assert.Equal(numbers.Distinct().Order(), numbers.Order());
    }

    [Fact]
    public void Nothing_is_left_to_be_fixed_later()
    {
        var marks = new[] { "FIX" + "ME", "HA" + "CK:", "NotImplemented" + "Exception" };
        foreach (var file in Sources("*.cs").Concat(Sources("*.sh")))
        {
            var text = File.ReadAllText(file);
            Assert.True(Array.TrueForAll(marks, m => !text.Contains(m, StringComparison.Ordinal)), $"{file} has something left to be fixed");
        }
    }

    [Fact]
    public void Folders_have_names_of_the_domain()
    {
        var empty = new[] { "Utils", "Helpers", "Common", "Managers", "Misc" };
        Assert.DoesNotContain(Directory.GetDirectories(Path.Combine(Root, "src"), "*", SearchOption.AllDirectories), d => empty.Contains(Path.GetFileName(d)));
    }

    /// <summary>Only ever lowered: the longest methods there are, by lines between their braces.</summary>
    [Fact]
    public void Methods_do_not_grow_beyond_the_longest_there_is()
    {
        const int longest = 105;
        foreach (var file in Sources("*.cs").Where(f => f.Contains("/src/", StringComparison.Ordinal)))
        {
            var lines = File.ReadAllLines(file);
            for (var i = 0; i < lines.Length; i++)
            {
                if (lines[i] == "    {" && !Regex.IsMatch(lines[i - 1], @"\b(class|record|struct|interface|enum)\b"))
                {
                    var end = Array.FindIndex(lines, i, l => l is "    }" or "    };");
                    Assert.True(end - i <= longest, $"{file}:{i + 1}: {end - i} lines; the longest may be {longest}");
                }
            }
        }

    }
}
