using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Weir.Proxy.Bench;

/// <summary>A proxy under measurement: a process pinned to a core, with what the kernel accounts to it.</summary>
sealed class Contender : IDisposable
{
    readonly Process process;

    public Contender(string name, string core, string command, string directory)
    {
        Name = name;
        process = Process.Start(new ProcessStartInfo("sh", ["-c", $"ulimit -n 60000 2>/dev/null || ulimit -n $(ulimit -Hn); exec taskset -c {core} {command} >{directory}/{name}.log 2>&1"]))!;
    }

    public string Name { get; }

    public int Id => process.Id;

    public bool HasEnded => process.HasExited;

    /// <summary>Itself and its children: nginx works in one.</summary>
    IEnumerable<int> Processes
    {
        get
        {
            yield return process.Id;
            foreach (var child in File.ReadAllText($"/proc/{process.Id}/task/{process.Id}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                yield return int.Parse(child, CultureInfo.InvariantCulture);
            }
        }
    }

    /// <summary>Nanoseconds on a processor, over all threads, as the scheduler counts them.</summary>
    public long CpuNanoseconds => Processes.SelectMany(p => Directory.GetDirectories($"/proc/{p}/task"))
        .Sum(t => long.Parse(File.ReadAllText($"{t}/schedstat").Split(' ')[0], CultureInfo.InvariantCulture));

    public long ResidentBytes => Processes.Sum(p => long.Parse(
        File.ReadAllLines($"/proc/{p}/status").First(l => l.StartsWith("VmRSS", StringComparison.Ordinal)).Split(':')[1].Trim().Split(' ')[0], CultureInfo.InvariantCulture) * 1024);

    public void Dispose()
    {
        if (!process.HasExited)
        {
            using var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]);
            kill.WaitForExit();
            if (!process.WaitForExit(8000))
            {
                process.Kill(entireProcessTree: true);
            }
        }

        process.Dispose();
    }
}
