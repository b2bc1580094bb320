using Weir.ApiServer.Requests;
using Weir.Resources;

namespace Weir.Node.Pods;

/// <summary>Logs of, and commands in, the pods of this node.</summary>
public sealed class PodAccess(PodAgent agent, TimeProvider time) : IPodAccess
{
    static readonly TimeSpan FollowInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>How far from the end of a log the last lines are looked for.</summary>
    const int TailWindow = 4 * 1024 * 1024;

    public async Task<ApiStatus?> WriteLogAsync(Resource pod, string container, LogOptions options, Stream output, CancellationToken cancel)
    {
        var status = pod.Status.Objects("containerStatuses").Concat(pod.Status.Objects("initContainerStatuses"))
            .FirstOrDefault(s => s.Text("name") == container);
        var restarts = (int)(status.Number("restartCount") ?? 0) - (options.Previous ? 1 : 0);
        if (agent.Find(pod, container) is not { } found || restarts < 0)
        {
            return options.Previous
                ? ApiStatus.BadRequest($"previous terminated container \"{container}\" in pod \"{pod.Name}\" not found")
                : ApiStatus.BadRequest($"container \"{container}\" in pod \"{pod.Name}\" is waiting to start: {status.Text("state", "waiting", "reason") ?? "ContainerCreating"}");
        }

        var path = ContainerProcess.LogPath(found.Directory, container, restarts);
        if (!File.Exists(path))
        {
            var why = status.Text("state", "waiting", "reason") ?? "ContainerCreating";
            return ApiStatus.BadRequest($"container \"{container}\" in pod \"{pod.Name}\" is waiting to start: {why}");
        }

        await using var log = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        log.Position = options.TailLines is { } lines ? StartOfLastLines(log, lines) : 0;
        var left = options.LimitBytes ?? long.MaxValue;
        var buffer = new byte[16 * 1024];
        while (left > 0)
        {
            var read = await log.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, left)), cancel);
            if (read > 0)
            {
                await output.WriteAsync(buffer.AsMemory(0, read), cancel);
                left -= read;
                continue;
            }

            await output.FlushAsync(cancel);
            if (!options.Follow || !File.Exists(path))
            {
                break;
            }

            if (log.Length < log.Position)
            {
                // The log was started anew.
                log.Position = 0;
            }

            await Task.Delay(FollowInterval, time, cancel);
        }

        return null;
    }

    public Task<int> ExecAsync(
        Resource pod, string container, IReadOnlyList<string> command, Stream? input, Stream output, Stream error, CancellationToken cancel)
    {
        if (command.Count == 0)
        {
            throw new InvalidOperationException("you must specify at least one command for the container");
        }

        return agent.Find(pod, container)?.Command is { } running
            ? CommandRunner.RunAsync(command, running, input, output, error, cancel)
            : throw new InvalidOperationException($"container {container} of pod {pod.Name} is not running");
    }

    static long StartOfLastLines(FileStream log, int lines)
    {
        if (lines <= 0)
        {
            return log.Length;
        }

        var from = Math.Max(0, log.Length - TailWindow);
        var window = new byte[log.Length - from];
        log.Position = from;
        log.ReadExactly(window);
        var end = window.Length > 0 && window[^1] == '\n' ? window.Length - 1 : window.Length;
        for (; lines > 0 && end > 0; lines--)
        {
            end = window.AsSpan(0, end).LastIndexOf((byte)'\n');
        }

        return from + Math.Max(0, end + 1);
    }
}
