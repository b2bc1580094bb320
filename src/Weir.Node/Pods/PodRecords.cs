namespace Weir.Node.Pods;

/// <summary>The processes that a data directory's records name, for when no agent is there to end them.</summary>
public static class PodRecords
{
    public const int Terminate = 15;

    /// <summary>Asks every container of every pod to end, kills what has not ended within the grace, and removes the records.</summary>
    /// <returns>How many containers were running.</returns>
    public static async Task<int> StopAllAsync(string podsDirectory, TimeSpan grace, TimeProvider time)
    {
        var pods = Directory.Exists(podsDirectory) ? Directory.GetDirectories(podsDirectory) : [];
        var processes = pods.SelectMany(Find).ToList();
        processes.ForEach(p => p.Terminate());
        using var limit = new CancellationTokenSource(grace, time);
        try
        {
            await Task.WhenAll(processes.Select(p => p.WaitForExitAsync(limit.Token)));
        }
        catch (OperationCanceledException)
        {
            // Those that want more time do not get it.
        }

        // The whole group, also where its leader has ended in time: children of the program may be left.
        processes.ForEach(p => p.KillGroup());
        foreach (var pod in pods)
        {
            Directory.Delete(pod, recursive: true);
        }

        return processes.Count;
    }

    /// <summary>Kills the containers of one pod.</summary>
    public static void Kill(string podDirectory)
    {
        foreach (var process in Find(podDirectory))
        {
            process.KillGroup();
        }
    }

    /// <summary>Sends a signal to one process.</summary>
    public static void Signal(int pid, int signal) => ContainerProcess.Send(pid, signal);

    static IEnumerable<ContainerProcess> Find(string podDirectory) =>
        from directory in Directory.GetDirectories(podDirectory)
        let record = ContainerProcess.ReadRecord(podDirectory, Path.GetFileName(directory))
        where record is not null
        let process = ContainerProcess.Adopt(podDirectory, record, () => { })
        where process is not null
        select process;
}
