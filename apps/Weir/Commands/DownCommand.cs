using System.CommandLine;
using System.Diagnostics;
using Weir.App.Cluster;
using Weir.Node.Pods;

namespace Weir.App.Commands;

/// <summary><c>weir down</c>: ends the cluster of a directory and every pod of it, also when <c>weir up</c> has died before.</summary>
static class DownCommand
{
    static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        var data = Shared.Data();
        var command = new Command("down", "Stop the cluster and all its pods. What it stores stays; the next weir up starts the pods again.") { data };
        command.SetAction(async (parsed, _) =>
        {
            var directory = new DataDirectory(parsed.GetValue(data)!);
            if (!Directory.Exists(directory.Path))
            {
                throw new CommandException($"there is no cluster in {directory.Path}");
            }

            await StopAsync(directory, TimeProvider.System);
            return 0;
        });
        return command;
    }

    public static async Task StopAsync(DataDirectory data, TimeProvider time)
    {
        await StopServerAsync(data);
        await StopPodsAsync(data, time);
    }

    /// <summary>Asks every container to end, gives them a moment, and kills what is left.</summary>
    public static async Task StopPodsAsync(DataDirectory data, TimeProvider time)
    {
        var stopped = await PodRecords.StopAllAsync(data.Pods, TimeSpan.FromSeconds(1), time);
        Console.WriteLine(stopped == 0 ? "stopped" : $"stopped, with {stopped} containers");
    }

    static async Task StopServerAsync(DataDirectory data)
    {
        if (data.FindHolder() is not { } holder)
        {
            return;
        }

        using var process = Process.GetProcessById(holder.Pid);
        PodRecords.Signal(holder.Pid, PodRecords.Terminate);
        using var limit = new CancellationTokenSource(StopLimit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
        }
    }
}
