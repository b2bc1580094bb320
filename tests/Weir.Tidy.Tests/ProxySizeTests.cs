using System.Text.RegularExpressions;

namespace Weir.Tidy.Tests;

/// <summary>A file of the proxy holds one thing, which can be read at a sitting.</summary>
public partial class ProxySizeTests
{
    const int LongestFile = 250;

    /// <summary>Those whose other part the compiler writes: functions of libraries of the operating system.</summary>
    static readonly string[] Interop =
    [
        "Lifecycle/DescriptorPassing.cs", "Lifecycle/LoadedCode.cs", "Overload/DescriptorLimit.cs", "Reactor/Entropy.cs", "Reactor/Native.cs",
        "Telemetry/BlockingWriter.cs", "Tls/OpenSsl.cs",
    ];

    static readonly string Project = Path.Combine(TidyTests.Root, "src/Weir.Proxy");

    static IEnumerable<(string Name, string Text)> Files() =>
        from file in Directory.EnumerateFiles(Project, "*.cs", SearchOption.AllDirectories)
        let name = Path.GetRelativePath(Project, file)
        where name.Split('/')[0] is not ("bin" or "obj" or "obj-aot")
        select (name, File.ReadAllText(file));

    [GeneratedRegex(@"^[^/\n]*\bpartial\s+(?:class|struct|record|interface)\b", RegexOptions.Multiline)]
    private static partial Regex PartialType();

    [Fact]
    public void No_file_of_the_proxy_is_longer_than_one_thing_takes()
    {
        var tooLong = Files().Select(f => (f.Name, Lines: f.Text.Count(c => c == '\n')))
            .Where(f => f.Lines > LongestFile);

        Assert.Empty(tooLong);
    }

    [Fact]
    public void No_type_of_the_proxy_is_in_parts() =>
        Assert.Equal(Interop, Files().Where(f => PartialType().IsMatch(f.Text)).Select(f => f.Name).Order(StringComparer.Ordinal));
}
