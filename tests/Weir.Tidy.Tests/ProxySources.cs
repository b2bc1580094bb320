using System.Text.RegularExpressions;

namespace Weir.Tidy.Tests;

/// <summary>A file of the proxy, in one of its folders.</summary>
sealed record ProxySource(string Folder, string File, string Text);

/// <summary>A file uses something of another folder.</summary>
/// <param name="Name">Folder and type; the folder alone where the file says that it uses it and names no type of it.</param>
sealed record FolderUse(string Folder, string File, string Used, string Name);

/// <summary>What the files of the proxy declare, and what they name of other folders.</summary>
sealed partial class ProxySources
{
    readonly List<ProxySource> files;
    readonly Dictionary<string, HashSet<string>> types;

    public ProxySources(IEnumerable<ProxySource> sources)
    {
        files = [.. sources.Select(s => s with { Text = WithoutComments(s.Text) })];
        types = files.GroupBy(f => f.Folder).ToDictionary(g => g.Key, g => g.SelectMany(f => Declaration().Matches(f.Text)).Select(m => m.Groups["name"].Value).ToHashSet());
    }

    public static ProxySources Read(string project) => new(
        from file in Directory.EnumerateFiles(project, "*.cs", SearchOption.AllDirectories)
        let path = Path.GetRelativePath(project, file).Split('/', 2)
        where path[0] is not ("bin" or "obj" or "obj-aot")
        select new ProxySource(path.Length > 1 ? path[0] : "", path[^1], File.ReadAllText(file)));

    public IEnumerable<string> Folders => types.Keys;

    /// <summary>By a directive, or by a name that begins with the folder: within <c>Weir.Proxy</c> that is enough.</summary>
    public IEnumerable<FolderUse> Uses() =>
        from file in files
        from folder in types.Keys
        where folder != file.Folder
        from name in NamesOf(file, folder)
        select new FolderUse(file.Folder, file.File, folder, name);

    IEnumerable<string> NamesOf(ProxySource file, string folder)
    {
        var qualified = Regex.Matches(file.Text, $@"(?<![\w.])(?:(?:global::)?(?:Weir\.)?Proxy\.)?{folder}\s*\.\s*(\w+)").Select(m => m.Groups[1].Value).Where(types[folder].Contains);
        var isImported = Regex.IsMatch(file.Text, $@"\bWeir\.Proxy\.{folder}\b");
        var simple = isImported ? Word().Matches(file.Text).Select(m => m.Value).Where(w => types[folder].Contains(w) && !types[file.Folder].Contains(w)) : [];
        var names = qualified.Concat(simple).Distinct().Order(StringComparer.Ordinal).Select(t => $"{folder}.{t}").ToList();
        return names.Count == 0 && isImported ? [folder] : names;
    }

    public IEnumerable<string> StrayNamespaces() =>
        from file in files
        let declared = Namespace().Matches(file.Text).Select(m => m.Groups[1].Value).ToList()
        where declared is not [var only] || only != $"Weir.Proxy.{file.Folder.Replace('/', '.')}"
        select $"{file.Folder}/{file.File} declares {string.Join(", ", declared)}";

    public IEnumerable<string> GlobalUsings() =>
        files.Where(f => f.Text.Contains("global using ", StringComparison.Ordinal)).Select(f => $"{f.Folder}/{f.File}");

    /// <summary>Strings stay: what is between their braces may be code.</summary>
    static string WithoutComments(string text) => StringOrComment().Replace(text, m => m.Value.StartsWith('/') ? " " : m.Value);

    [GeneratedRegex("""
        //[^\n]* | /\*.*?\*/                          # comments
        | "{3}.*?"{3,} | @\$?"(?:""|[^"])*"           # strings over several lines
        | "(?:\\.|[^"\\\n])*" | '(?:\\[^\n]|[^'\\\n])[^'\n]*'   # others, and characters
        """, RegexOptions.Singleline | RegexOptions.IgnorePatternWhitespace)]
    private static partial Regex StringOrComment();

    [GeneratedRegex(@"\b(?:(?:class|interface|enum|struct|record(?:\s+(?:struct|class))?)\s+(?<name>\w+)|delegate\s+[^;(*]*?(?<name>\w+)\s*(?:<[^>()]*>)?\s*\()")]
    private static partial Regex Declaration();

    [GeneratedRegex(@"^namespace ([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"\w+")]
    private static partial Regex Word();
}
