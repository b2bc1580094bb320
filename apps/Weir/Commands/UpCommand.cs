using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Weir.App.Cluster;

namespace Weir.App.Commands;

/// <summary><c>weir up</c>: the embedded cluster, in the foreground or in the background.</summary>
static class UpCommand
{
    static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    public static Command Create()
    {
        var data = Shared.Data();
        var port = new Option<int>("--port") { Description = "Port of the API server on 127.0.0.1 (default: 6443, or a free one)." };
        var detach = new Option<bool>("--detach", "-d") { Description = "Return when the cluster is ready; it runs on in the background." };
        var verbose = new Option<bool>("--verbose", "-v") { Description = "Log more." };
        var command = new Command("up", "Start the embedded cluster: API server, control plane and node, on loopback only.\n\nExample: weir up --detach && export KUBECONFIG=~/.weir/kubeconfig && kubectl get nodes")
        {
            data, port, detach, verbose,
        };
        command.SetAction((parsed, cancel) =>
        {
            var directory = new DataDirectory(parsed.GetValue(data)!);
            return parsed.GetValue(detach)
                ? DetachAsync(directory, parsed.GetValue(port), cancel)
                : RunAsync(directory, parsed.GetValue(port), parsed.GetValue(verbose), cancel);
        });
        return command;
    }

    static async Task<int> RunAsync(DataDirectory data, int port, bool verbose, CancellationToken cancel)
    {
        var time = TimeProvider.System;
        var began = time.GetTimestamp();
        data.Create();
        using var held = data.TryLock() ?? throw Taken(data);
        using var logs = LoggerFactory.Create(builder => builder
            .SetMinimumLevel(verbose ? LogLevel.Debug : LogLevel.Information)
            .AddSimpleConsole(o =>
            {
                o.SingleLine = true;
                o.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z' ";
                o.UseUtcTimestamp = true;
            }));
        var ended = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, c => End(c, stopPods: true));
        using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => End(c, stopPods: false));
        void End(PosixSignalContext context, bool stopPods)
        {
            context.Cancel = true;
            ended.TrySetResult(stopPods);
        }

        File.Delete(ReadyFile(data));
        bool stopsPods;
        await using (var cluster = await EmbeddedCluster.StartAsync(data, port, time, logs, cancel))
        {
            // The lines a user sees, and the sign that a waiting "weir up --detach" looks for.
            var ready = $"ready in {time.GetElapsedTime(began).TotalSeconds:0.00} s: https://127.0.0.1:{cluster.Port}";
            Console.WriteLine(ready);
            Console.WriteLine($"export KUBECONFIG={data.Kubeconfig}");
            await File.WriteAllTextAsync(ReadyFile(data), ready, cancel);
            stopsPods = await ended.Task;
        }

        File.Delete(ReadyFile(data));
        if (stopsPods)
        {
            await DownCommand.StopPodsAsync(data, time);
        }
        else
        {
            Console.WriteLine($"stopped; pods run on until: weir down --data {data.Path}");
        }

        return 0;
    }

    /// <summary>Starts the cluster in the background and returns when it is ready.</summary>
    public static async Task<int> DetachAsync(DataDirectory data, int port, CancellationToken cancel)
    {
        if (data.FindHolder() is not null)
        {
            throw Taken(data);
        }

        data.Create();
        File.Delete(ReadyFile(data));
        using var process = Spawn(data, port);
        var time = TimeProvider.System;
        var began = time.GetTimestamp();
        while (time.GetElapsedTime(began) < StartLimit)
        {
            if (File.Exists(ReadyFile(data)))
            {
                Console.WriteLine(await File.ReadAllTextAsync(ReadyFile(data), cancel));
                Console.WriteLine($"export KUBECONFIG={data.Kubeconfig}");
                return 0;
            }

            if (process.HasExited)
            {
                throw new CommandException(LastError(data), process.ExitCode == 0 ? 1 : process.ExitCode);
            }

            await Task.Delay(TimeSpan.FromMilliseconds(15), time, cancel);
        }

        throw new CommandException($"the cluster was not ready within {StartLimit.TotalSeconds:0} s; see {data.Log}");
    }

    /// <summary>This same program in a session of its own, with its output in the log.</summary>
    static Process Spawn(DataDirectory data, int port)
    {
        var start = new ProcessStartInfo("setsid") { UseShellExecute = false };
        foreach (var argument in new[] { "/bin/sh", "-c", "log=$1; shift; exec \"$@\" >>\"$log\" 2>&1 </dev/null", "weir-up", data.Log })
        {
            start.ArgumentList.Add(argument);
        }

        var program = Environment.ProcessPath!;
        start.ArgumentList.Add(program);
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
        {
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "weir.dll"));
        }

        foreach (var argument in new[] { "up", "--data", data.Path, "--port", $"{port}" })
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    static string ReadyFile(DataDirectory data) => Path.Combine(data.Path, "ready");

    static CommandException Taken(DataDirectory data) => new(
        $"the directory {data.Path} is in use by another weir up{(data.FindHolder() is { } h ? $" (pid {h.Pid})" : "")}: stop it with \"weir down --data {data.Path}\", or choose another with --data");

    static string LastError(DataDirectory data)
    {
        var lines = File.Exists(data.Log) ? File.ReadAllLines(data.Log) : [];
        var error = lines.LastOrDefault(l => l.StartsWith("error: ", StringComparison.Ordinal));
        return error is null ? $"the cluster did not start; see {data.Log}" : error["error: ".Length..];
    }
}
