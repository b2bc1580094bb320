using System.Diagnostics;

namespace Weir.EndToEnd.Tests;

/// <summary>The program as it was built.</summary>
static class WeirProgram
{
    /// <summary>The project's folder.</summary>
    public static readonly string Root = FindRoot();

    static readonly string Path = System.IO.Path.Combine(Root, "apps/Weir/bin/Release/net10.0/weir");

    /// <summary>The proxy's program.</summary>
    public static readonly string Proxy = System.IO.Path.Combine(Root, "apps/Weir.Proxy/bin/Release/net10.0/weir-proxy");

    static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(System.IO.Path.Combine(directory!.FullName, "weir.slnx")))
        {
            directory = directory.Parent;
        }

        return directory.FullName;
    }

    public static Process Start(params string[] arguments) =>
        Process.Start(new ProcessStartInfo(Path, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    /// <summary>Runs to the end, a minute at most.</summary>
    public static async Task<(int Code, string Output)> RunAsync(params string[] arguments)
    {
        using var process = Start(arguments);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        }
        catch (TimeoutException)
        {
            process.Kill();
            throw;
        }

        return (process.ExitCode, (await output + await error).Trim());
    }
}
