using System.Collections.Concurrent;
using System.Diagnostics;

namespace Weir.Samples.Loadtester;

/// <summary>Runs commands in a shell. The same command for the same canary runs once at a time, however often it is asked for.</summary>
sealed class CommandRunner(TimeSpan timeout, TimeProvider time, ILogger log)
{
    /// <summary>Commands at the same time; more are refused.</summary>
    const int MaximumRunning = 64;

    readonly ConcurrentDictionary<string, Process?> running = [];

    public int Running => running.Count;

    public static TimeSpan ParseTimeout(string? text) => text switch
    {
        [.. var number, 'h'] when double.TryParse(number, out var hours) => TimeSpan.FromHours(hours),
        [.. var number, 'm'] when double.TryParse(number, out var minutes) => TimeSpan.FromMinutes(minutes),
        [.. var number, 's'] when double.TryParse(number, out var seconds) => TimeSpan.FromSeconds(seconds),
        _ => TimeSpan.FromHours(1),
    };

    public void Start(string canary, string command, bool logOutput)
    {
        var key = $"{canary}|{command}";
        if (running.Count < MaximumRunning && running.TryAdd(key, null))
        {
            _ = RunInBackgroundAsync(key, canary, command, logOutput);
        }
    }

    public async Task<(int Code, string Output)> RunAsync(string command, CancellationToken cancel)
    {
        using var process = Open(command);
        return await WaitAsync(process, cancel);
    }

    public void StopAll()
    {
        foreach (var process in running.Values)
        {
            process?.Kill(entireProcessTree: true);
        }
    }

    async Task RunInBackgroundAsync(string key, string canary, string command, bool logOutput)
    {
        try
        {
            using var process = Open(command);
            running[key] = process;
            log.LogInformation("{Canary}: command started: {Command}", canary, command);
            var (code, output) = await WaitAsync(process, CancellationToken.None);
            log.LogInformation("{Canary}: command finished with {Code}: {Command}{Output}", canary, code, command, logOutput || code != 0 ? "\n" + output : "");
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException or OperationCanceledException)
        {
            log.LogError("{Canary}: command failed: {Command}: {Error}", canary, command, e.Message);
        }
        finally
        {
            running.TryRemove(key, out _);
        }
    }

    static Process Open(string command)
    {
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(command);
        return Process.Start(start)!;
    }

    async Task<(int Code, string Output)> WaitAsync(Process process, CancellationToken cancel)
    {
        using var limit = new CancellationTokenSource(timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(either.Token);
            var errors = process.StandardError.ReadToEndAsync(either.Token);
            await process.WaitForExitAsync(either.Token);
            return (process.ExitCode, await output + await errors);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }
}
