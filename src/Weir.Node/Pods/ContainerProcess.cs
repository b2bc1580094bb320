using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Weir.Resources;

namespace Weir.Node.Pods;

/// <summary>What is kept of a running container on disk, so that a later node process finds it again.</summary>
/// <param name="Pid">Of the shell that waits for the program; it leads the container's session and process group.</param>
/// <param name="StartTicks">Since boot, from /proc: with the pid it names one process for certain.</param>
public sealed record ContainerRecord(string Container, int Pid, long StartTicks, int RestartCount, DateTimeOffset StartedAt);

/// <summary>
/// A container's process. A small shell in a session of its own starts the program, sends its output to the log file and writes
/// down its exit code, so that the container runs on, and nothing of it is lost, when the node process dies.
/// </summary>
public sealed partial class ContainerProcess
{
    const string Script =
        """exec >/dev/null 2>&1 </dev/null; code=$1 pid=$2 log=$3; shift 3; "$@" >>"$log" 2>&1 & echo $! >"$pid"; wait $!; echo $? >"$code.new"; mv "$code.new" "$code" """;

    const int Sigterm = 15;
    const int Sigkill = 9;

    readonly string directory;
    readonly Process process;

    ContainerProcess(string directory, Process process, ContainerRecord record, Action onExit)
    {
        this.directory = directory;
        this.process = process;
        Record = record;
        process.EnableRaisingEvents = true;
        process.Exited += (_, _) => onExit();
    }

    public ContainerRecord Record { get; }

    public bool HasExited => process.HasExited;

    public static string LogPath(string podDirectory, string container, int restartCount) =>
        Path.Combine(podDirectory, container, string.Create(CultureInfo.InvariantCulture, $"{restartCount}.log"));

    /// <param name="onExit">Called on another thread, once.</param>
    public static ContainerProcess Start(
        string podDirectory, string container, int restartCount, ContainerCommand command, DateTimeOffset now, Action onExit)
    {
        var directory = Path.Combine(podDirectory, container);
        Directory.CreateDirectory(directory);
        File.Delete(Path.Combine(directory, "exit"));
        File.Delete(Path.Combine(directory, "pid"));
        var start = new ProcessStartInfo("setsid") { WorkingDirectory = command.Directory, UseShellExecute = false };
        foreach (var argument in new[]
        {
            "/bin/sh", "-c", Script, "weir-container", Path.Combine(directory, "exit"), Path.Combine(directory, "pid"),
            LogPath(podDirectory, container, restartCount),
        })
        {
            start.ArgumentList.Add(argument);
        }

        foreach (var argument in command.Arguments)
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment.Clear();
        foreach (var (name, value) in command.Environment)
        {
            start.Environment[name] = value;
        }

        var process = Process.Start(start)!;
        var record = new ContainerRecord(container, process.Id, StartTicks(process.Id) ?? 0, restartCount, now);
        File.WriteAllText(Path.Combine(directory, "record.json"), JsonSerializer.Serialize(record, Resource.JsonOptions));
        return new ContainerProcess(directory, process, record, onExit);
    }

    public static ContainerRecord? ReadRecord(string podDirectory, string container)
    {
        var path = Path.Combine(podDirectory, container, "record.json");
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize<ContainerRecord>(File.ReadAllText(path), Resource.JsonOptions) : null;
        }
        catch (JsonException)
        {
            // Torn by a crash while it was being written: the container had only just begun.
            return null;
        }
    }

    /// <summary>The process of a record, if it is still that process; a pid that was given to another is not touched.</summary>
    public static ContainerProcess? Adopt(string podDirectory, ContainerRecord record, Action onExit)
    {
        if (StartTicks(record.Pid) != record.StartTicks)
        {
            return null;
        }

        try
        {
            return new ContainerProcess(Path.Combine(podDirectory, record.Container), Process.GetProcessById(record.Pid), record, onExit);
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    /// <summary>The program's exit code: 128 + n after signal n, as shells and Kubernetes say it.</summary>
    public static int ReadExitCode(string podDirectory, string container) =>
        int.TryParse(ReadFile(Path.Combine(podDirectory, container, "exit")), out var code) ? code : 128 + Sigkill;

    /// <summary>The program itself, not the shell that waits for it; null in its first instant.</summary>
    public int? ProgramPid => int.TryParse(ReadFile(Path.Combine(directory, "pid")), out var pid) ? pid : null;

    /// <summary>Asks the program to end.</summary>
    public void Terminate()
    {
        if (!HasExited && ProgramPid is { } pid)
        {
            _ = Kill(pid, Sigterm);
        }
    }

    /// <summary>Ends the whole process group at once.</summary>
    public void Kill()
    {
        if (!HasExited)
        {
            KillGroup();
        }
    }

    /// <summary>
    /// Ends what is left of the group, also after its leader. A group keeps its number from being given to another while it has
    /// members, so this hits nobody else.
    /// </summary>
    public void KillGroup() => _ = Kill(-Record.Pid, Sigkill);

    internal static void Send(int pid, int signal) => _ = Kill(pid, signal);

    public Task WaitForExitAsync(CancellationToken cancel) => process.WaitForExitAsync(cancel);

    /// <summary>Field 22 of /proc/PID/stat; null when there is no such process.</summary>
    public static long? StartTicks(int pid)
    {
        // The command may contain spaces and brackets; fields count from after its closing one.
        var stat = ReadFile($"/proc/{pid}/stat");
        var fields = stat is null ? [] : stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return fields.Length > 19 && fields[0] != "Z" ? long.Parse(fields[19], CultureInfo.InvariantCulture) : null;
    }

    /// <summary>Processor time of a process so far; null when there is no such process.</summary>
    public static TimeSpan? ProcessorTime(int pid)
    {
        var stat = ReadFile($"/proc/{pid}/stat");
        var fields = stat is null ? [] : stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return fields.Length > 12
            ? TimeSpan.FromMilliseconds(10 * (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)))
            : null;
    }

    static string? ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);
}
