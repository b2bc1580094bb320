using Spectre.Console;

namespace Weir.App.Demo;

/// <summary>One row of the demo's table.</summary>
readonly record struct VersionRow(string Name, string Version, int Weight, double? Rate, double? Success, double? P99Milliseconds);

/// <summary>Shows the demo: a live table with the last events on a terminal, plain lines elsewhere.</summary>
sealed class DemoScreen(TimeProvider time)
{
    const int ShownEvents = 12;

    readonly long began = time.GetTimestamp();
    readonly List<string> events = [];
    readonly bool isTerminal = AnsiConsole.Profile.Capabilities.Interactive && !Console.IsOutputRedirected;
    string lastLine = "";
    LiveDisplayContext? live;

    /// <summary>Runs the demo's work with the display around it.</summary>
    public async Task RunAsync(Func<Task> work)
    {
        if (!isTerminal)
        {
            await work();
            return;
        }

        await AnsiConsole.Live(new Text("starting ...")).StartAsync(async context =>
        {
            live = context;
            await work();
        });
        live = null;
    }

    public void Event(string message)
    {
        events.Add($"{Elapsed,5:0.0}s  {message}");
        if (!isTerminal)
        {
            Console.WriteLine(events[^1]);
        }
    }

    public void Show(string phase, VersionRow primary, VersionRow canary, int served, int failed)
    {
        if (live is not null)
        {
            live.UpdateTarget(Draw(phase, primary, canary, served, failed));
            live.Refresh();
            return;
        }

        var line = $"phase={phase} {Describe(primary)} {Describe(canary)}";
        if (line != lastLine)
        {
            lastLine = line;
            Console.WriteLine($"{Elapsed,5:0.0}s  {line} served={served} failed={failed}");
        }
    }

    double Elapsed => time.GetElapsedTime(began).TotalSeconds;

    static string Describe(VersionRow row) =>
        $"{row.Name}={row.Version}:{row.Weight}% rps={row.Rate:0.0} success={row.Success:0.0}% p99={row.P99Milliseconds:0}ms";

    Rows Draw(string phase, VersionRow primary, VersionRow canary, int served, int failed)
    {
        var table = new Table().Border(TableBorder.Rounded).Title($"[bold]podinfo[/]  {phase}")
            .AddColumns("", "version", "weight", "requests/s", "success", "p99");
        foreach (var row in new[] { primary, canary })
        {
            table.AddRow(
                row.Name, row.Version, $"{row.Weight}% {new string('█', row.Weight / 5)}",
                row.Rate is { } rate ? $"{rate:0.0}" : "-",
                row.Success is { } success ? $"[{(success < 99 ? "red" : "green")}]{success:0.00}%[/]" : "-",
                row.P99Milliseconds is { } p99 ? $"{p99:0} ms" : "-");
        }

        return new Rows(
            table, new Text($"users: {served} requests served, {failed} failed"), new Text(""),
            new Text(string.Join('\n', events.TakeLast(ShownEvents))));
    }
}
