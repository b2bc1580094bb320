using System.Diagnostics;

namespace Weir.EndToEnd.Tests;

/// <summary><c>weir-proxy</c>'s command line.</summary>
public sealed class ProxyOptionsTests : IDisposable
{
    readonly string directory = Directory.CreateTempSubdirectory("weir-options-").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    static async Task<(int Code, string Output)> RunAsync(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(WeirProgram.Proxy, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        return (process.ExitCode, (await output + await error).Trim());
    }

    [Theory]
    [InlineData("", "no control plane: give --xds, WEIR_XDS or --config-path")]
    [InlineData("--xds unix:/a", "the first argument must be sidecar, router or node, where there is no --config-path (--help shows more)")]
    [InlineData("edge --xds unix:/a", "the first argument must be sidecar, router or node, or an option (--help shows more)")]
    [InlineData("router --xds", "--xds: has no value (--help shows more)")]
    [InlineData("router --what a", "--what: unknown option (--help shows them)")]
    [InlineData("router --xds ftp://a", "--xds: \"ftp://a\" is none of http://HOST:PORT, https://HOST:PORT and unix:PATH")]
    [InlineData("router --xds http://a:1/path", "--xds: \"http://a:1/path\" is none of http://HOST:PORT, https://HOST:PORT and unix:PATH")]
    [InlineData("router --xds http://a:1 --xds-ca /dev/null", "control plane: /dev/null has no certificate in PEM to trust")]
    [InlineData("router --xds http://a:1 --xds-server-name b", "--xds: http:// is in the clear; --xds-ca and the like need https://")]
    [InlineData("router --xds https://a:1 --xds-ca /nonexistent", "control plane: there is no file /nonexistent")]
    [InlineData("router --xds https://a:1 --xds-cert /nonexistent", "--xds-cert and --xds-key: give both or neither")]
    [InlineData("router --xds unix:/a --xds-variant delta", "--xds-variant must be incremental, sotw or auto")]
    [InlineData("router --xds unix:/a --xds-ping-interval 0", "--xds-ping-interval must be 0.1 to 3600 seconds")]
    [InlineData("router --xds unix:/a --service-cluster c", "--service-cluster: only together with --config-path")]
    [InlineData("-c /nonexistent/b.json", "/nonexistent/b.json: there is no such file")]
    [InlineData("-c /dev/null --xds unix:/a", "--config-path and --xds: give one of them")]
    public async Task What_cannot_be_right_is_refused_in_one_line(string arguments, string reason)
    {
        var (code, output) = await RunAsync(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        Assert.Equal((64, $"weir-proxy: {reason}"), (code, output));
    }

    [Fact]
    public async Task A_bad_bootstrap_file_is_refused_in_one_line_with_the_paths()
    {
        var path = Path.Combine(directory, "b.json");
        await File.WriteAllTextAsync(path, """{ "node": { "id": "a" }, "dynamic_resources": { "ads_config": { "api_type": "REST" } } }""");

        var (code, output) = await RunAsync("-c", path);

        Assert.Equal(64, code);
        Assert.StartsWith($"weir-proxy: {path}: dynamic_resources.ads_config: api_type must be DELTA_GRPC or GRPC, not \"REST\"; ", output, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', output);
    }

    [Fact]
    public async Task Help_has_an_example_with_a_bootstrap_file()
    {
        var (code, output) = await RunAsync("--help");

        Assert.Equal(0, code);
        Assert.Contains("weir-proxy -c bootstrap.json --service-node edge-1", output, StringComparison.Ordinal);
    }
}
