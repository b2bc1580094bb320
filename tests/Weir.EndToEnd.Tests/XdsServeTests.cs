using System.Diagnostics;
using System.Threading.Channels;
using Weir.Xds.Client;
using Weir.Xds.Transport;

namespace Weir.EndToEnd.Tests;

/// <summary><c>weir xds serve</c> as its users meet it.</summary>
public sealed class XdsServeTests : IDisposable
{
    const string ClusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    const string Cluster = $"- \"@type\": {ClusterType}\n  name: c\n";

    readonly string directory = Directory.CreateTempSubdirectory("weir-xds-").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    string Write(string name, string text)
    {
        var path = Path.Combine(directory, name);
        File.WriteAllText(path, text);
        return path;
    }

    [Theory]
    [InlineData("a: [b", "yaml: line 2, column 1")]
    [InlineData("", "the file must have a list named \"resources\"")]
    [InlineData("[1, 2]", "the file must have a list named \"resources\"")]
    [InlineData("resources: 5", "the file must have a list named \"resources\"")]
    [InlineData("resources: [5]", "resources[0]: @type must be one of")]
    [InlineData("resources:\n- \"@type\": 7", "resources[0]: @type must be one of")]
    [InlineData($"resources:\n- \"@type\": {ClusterType}\n  nam: c", "resources[0]: Unknown field: nam")]
    [InlineData($"resources:\n- \"@type\": {ClusterType}\n  type: NONE", "resources[0]: Invalid enum value: NONE")]
    [InlineData($"resources:\n{Cluster}{Cluster}", "resources[1]: there is another of this type with the name \"c\"")]
    public async Task A_file_that_cannot_be_served_is_refused_in_one_line(string text, string reason)
    {
        var (code, output) = await WeirProgram.RunAsync("xds", "serve", Write("x.yaml", text), "--socket", Path.Combine(directory, "s"));

        Assert.Equal(1, code);
        Assert.StartsWith($"error: {reason}", output, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', output);
    }

    [Fact]
    public async Task No_file_that_is_not_a_socket_is_replaced()
    {
        var file = Write("x.yaml", $"resources:\n{Cluster}");

        var (code, output) = await WeirProgram.RunAsync("xds", "serve", file, "--socket", file);

        Assert.Equal((1, $"error: {file} exists and is no socket"), (code, output));
        Assert.NotEmpty(await File.ReadAllTextAsync(file));
    }

    [Fact]
    public async Task It_ends_when_it_is_told_to_and_not_for_a_second_one()
    {
        var file = Write("x.yaml", $"resources:\n{Cluster}");
        var socket = Path.Combine(directory, "s");
        using var first = WeirProgram.Start("xds", "serve", file, "--socket", socket);
        Assert.StartsWith("serving", await first.StandardOutput.ReadLineAsync(), StringComparison.Ordinal);

        var (code, output) = await WeirProgram.RunAsync("xds", "serve", file, "--socket", socket);
        Assert.Equal((1, $"error: {socket} is in use by another server"), (code, output));

        using var kill = Process.Start("kill", ["-TERM", $"{first.Id}"]);
        await first.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(0, first.ExitCode);
    }

    /// <summary>Numbers the states of the file, and puts each in place of the one before at once.</summary>
    void Replace(string file, int number)
    {
        var next = Write("next", $"resources:\n{Cluster}  connect_timeout: {number}s\n");
        File.Move(next, file, overwrite: true);
    }

    /// <summary>Follows what is served, and notes each state by its number.</summary>
    sealed class Follower : IConfigSink
    {
        readonly Channel<long> numbers = Channel.CreateBounded<long>(10_000);

        public ChannelReader<long> Numbers => numbers.Reader;

        public IReadOnlyDictionary<string, string> Apply(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed)
        {
            foreach (var cluster in changed)
            {
                numbers.Writer.TryWrite(Envoy.Config.Cluster.V3.Cluster.Parser.ParseFrom(cluster.Value).ConnectTimeout.Seconds);
            }

            return new Dictionary<string, string>();
        }

        public IReadOnlySet<string> References(string type) => new HashSet<string>();

        public IReadOnlyDictionary<string, string> Versions(string type) => new Dictionary<string, string>();
    }

    static Task FollowAsync(string socket, Follower follower, CancellationToken cancel) => new AdsClient(
        new XdsServer([XdsAddress.Unix(socket)], null, "xds"), new() { Id = "n", UserAgentName = "test" }, follower, new(), TimeProvider.System, new Random(1), _ => { })
        .RunAsync(cancel);

    [Fact]
    public async Task A_change_while_it_starts_is_not_missed()
    {
        var file = Path.Combine(directory, "x.yaml");
        var socket = Path.Combine(directory, "s");
        var number = 1;
        Replace(file, number);
        using var server = WeirProgram.Start("xds", "serve", file, "--socket", socket);
        using var ending = new CancellationTokenSource(TimeSpan.FromSeconds(60));

        // It is replaced all through the start and never after it.
        var serving = server.StandardOutput.ReadLineAsync(ending.Token).AsTask();
        using (var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(5), TimeProvider.System))
        {
            while (!serving.IsCompleted && await pace.WaitForNextTickAsync(ending.Token))
            {
                Replace(file, ++number);
            }
        }

        var follower = new Follower();
        var following = FollowAsync(socket, follower, ending.Token);
        while (await follower.Numbers.ReadAsync(ending.Token) != number)
        {
        }

        await ending.CancelAsync();
        await following;
        server.Kill();
    }

    [Fact]
    public async Task A_file_that_changes_all_the_time_is_served_all_the_time()
    {
        const int times = 150;
        var file = Path.Combine(directory, "x.yaml");
        var socket = Path.Combine(directory, "s");
        Replace(file, 1);
        using var server = WeirProgram.Start("xds", "serve", file, "--socket", socket);
        using var ending = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await server.StandardOutput.ReadLineAsync(ending.Token);
        var follower = new Follower();
        var following = FollowAsync(socket, follower, ending.Token);
        await follower.Numbers.ReadAsync(ending.Token);

        using (var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(20), TimeProvider.System))
        {
            for (var number = 2; number <= times && await pace.WaitForNextTickAsync(ending.Token); number++)
            {
                Replace(file, number);
            }
        }

        var seen = 0;
        while (await follower.Numbers.ReadAsync(ending.Token) != times)
        {
            seen++;
        }

        // Three seconds of changes, each served within a tenth of a second or two.
        Assert.True(seen >= 10, $"{seen} states were served before the last");
        await ending.CancelAsync();
        await following;
        server.Kill();
    }
}
