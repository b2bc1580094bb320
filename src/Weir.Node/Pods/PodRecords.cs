namespace Weir.Node.Pods;

/// <summary>The processes that a data directory's records name, for when no agent is there to end them.</summary>
public static class PodRecords
{
    /// <summary>Kills every container of every pod and removes the records.</summary>
    /// <returns>How many processes were ended.</returns>
    public static int KillAll(string podsDirectory)
    {
        var count = 0;
        foreach (var pod in Directory.Exists(podsDirectory) ? Directory.GetDirectories(podsDirectory) : [])
        {
            count += Kill(pod);
            Directory.Delete(pod, recursive: true);
        }

        return count;
    }

    /// <summary>Kills the containers of one pod.</summary>
    public static int Kill(string podDirectory)
    {
        var count = 0;
        foreach (var container in Directory.GetDirectories(podDirectory).Select(d => Path.GetFileName(d)))
        {
            if (ContainerProcess.ReadRecord(podDirectory, container) is { } record
                && ContainerProcess.Adopt(podDirectory, record, () => { }) is { } process)
            {
                process.Kill();
                count++;
            }
        }

        return count;
    }
}
