using System.Diagnostics;

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
}
