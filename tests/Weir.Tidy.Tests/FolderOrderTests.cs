namespace Weir.Tidy.Tests;

/// <summary>
/// Folders of the proxy use each other in one direction only. What a file names is all that has to be looked at: whatever it reaches without
/// naming it, it has from a type that it names, whose own file names it in turn.
/// </summary>
public class FolderOrderTests
{
    /// <summary>
    /// The order in which a request meets them, from its bytes to what keeps the process going. Each may use those before it. The same table
    /// is in docs/architecture.md.
    /// </summary>
    static readonly (string Folder, string Holds)[] Order =
    [
        ("Reactor", "sockets, buffers, timers and the loop that serves them; knows no protocol"),
        ("Matching", "patterns that texts are held against, of names in certificates as of paths and headers"),
        ("Inspection", "the first bytes of a connection, before it is known what it speaks"),
        ("Tls", "the layer on a socket that encrypts, and proves who the peer is"),
        ("Telemetry", "who the client is, and how what it asked for is counted and logged"),
        ("Http", "heads, content, streams and causes of failure, of whatever version"),
        ("Http1", "HTTP/1.1 as streams, on both sides"),
        ("Http2", "HTTP/2 as streams, on both sides"),
        ("Filters", "what changes or answers a request, without knowing its way"),
        ("LoadBalancing", "clusters, their endpoints, and which of them is next"),
        ("Routing", "which cluster a request goes to: routes name clusters"),
        ("Upstream", "one try to reach an endpoint, and the connections kept to it"),
        ("Tracing", "spans of requests, and how they go to a collector in a cluster"),
        ("Exchanges", "one request from its head to its outcome, through all of the above"),
        ("Overload", "how much memory and how many descriptors there are, and who is refused first"),
        ("Listeners", "the addresses and loops that take connections and start exchanges on them"),
        ("Configuration", "makes all of the above from what the control plane sends"),
        ("Lifecycle", "what outlives a process: the last good configuration, and the handover to a successor"),
        ("Admin", "the proxy's own pages, which read everything and which nothing reads"),
    ];

    static readonly ProxySources Sources = ProxySources.Read(Path.Combine(TidyTests.Root, "src/Weir.Proxy"));

    [Fact]
    public void Every_folder_has_its_place() => Assert.Equal(Order.Select(o => o.Folder).Order(StringComparer.Ordinal), Sources.Folders.Order(StringComparer.Ordinal));

    [Fact]
    public void Folders_use_only_those_before_them()
    {
        var places = Order.Index().ToDictionary(o => o.Item.Folder, o => o.Index);

        var wrong = Sources.Uses().Where(u => places[u.Used] > places[u.Folder]).Select(u => $"{u.Folder}/{u.File} uses {u.Name}, which comes after it in the order").ToList();

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void Namespaces_are_named_after_folders() => Assert.Empty(Sources.StrayNamespaces());

    [Fact]
    public void Nothing_is_used_by_every_file_without_being_named() => Assert.Empty(Sources.GlobalUsings());

    [Fact]
    public void The_architecture_shows_the_same_order()
    {
        var shown = File.ReadLines(Path.Combine(TidyTests.Root, "docs/architecture.md")).SkipWhile(l => l != "| Folder | Holds |").Skip(2).TakeWhile(l => l.StartsWith('|'));

        Assert.Equal(Order.Select(o => $"| `{o.Folder}` | {o.Holds} |"), shown);
    }

    [Theory]
    [InlineData("using Weir.Proxy.High;\nclass A { Top top; }", "High.Top")]
    [InlineData("using static Weir.Proxy.High.Top;\nclass A;", "High.Top")]
    [InlineData("using T = Weir.Proxy.High.Top;\nclass A;", "High.Top")]
    [InlineData("using Weir.Proxy.High;\nclass A;", "High")]
    [InlineData("class A { High.Top top; }", "High.Top")]
    [InlineData("class A { object o = new Proxy.High.Choice(); }", "High.Choice")]
    [InlineData("class A { string s = $\"{1}{High.Top.Name}\"; }", "High.Top")]
    [InlineData("class A { string s = \"http://\"; High.Top top; }", "High.Top")]
    [InlineData("class A { char c = '\"'; /* \" */ High.Top top; }", "High.Top")]
    [InlineData("class A { string s = @\"\\\"; High.Top top; }", "High.Top")]
    [InlineData("class A { string s = \"\"\"a \" //\"\"\"; High.Act act; }", "High.Act")]
    [InlineData("class A { int n = High.Count; }", null)]
    [InlineData("/// <see cref=\"High.Top\"/>\nclass A;", null)]
    [InlineData("class A { /* High.Top */ }", null)]
    [InlineData("class A { Top top; }", null)]
    public void What_a_file_uses_is_found(string text, string? used)
    {
        var sources = new ProxySources(
        [
            new("Low", "A.cs", text),
            new("High", "B.cs", "class Top; readonly record struct Choice(int N); delegate void Act(int n);"),
        ]);

        Assert.Equal(used is null ? [] : [used], sources.Uses().Select(u => u.Name));
    }
}
