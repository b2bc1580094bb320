using System.CommandLine;
using Weir.App.ControlPlane;

namespace Weir.App.Commands;

/// <summary><c>weir xds</c>: proxies configured without a mesh.</summary>
static class XdsCommand
{
    public static Command Create()
    {
        var file = new Argument<FileInfo>("FILE") { Description = "Resources in the JSON form of their xDS messages, as YAML or JSON, under \"resources\"." };
        var socket = new Option<string>("--socket") { Description = "The Unix socket to serve on.", HelpName = "PATH", Required = true };
        var serve = new Command(
            "serve",
            "Serve the xDS resources of a file to proxies, and again whenever the file changes.\n\nExample: weir xds serve config.yaml --socket /tmp/xds.sock &\n         weir-proxy router --xds unix:/tmp/xds.sock")
        { file, socket };
        serve.SetAction((parsed, cancel) => ServeAsync(parsed.GetValue(file)!.FullName, Path.GetFullPath(parsed.GetValue(socket)!), cancel));
        return new Command("xds", "Configure proxies without a mesh, from files.") { serve };
    }

    static async Task<int> ServeAsync(string file, string socket, CancellationToken cancel)
    {
        var source = new FileSnapshots(Console.Error.WriteLine);

        // Before the file is read for the first time: what changes from here on is not missed.
        using var changes = FileChanges.Watch(file, TimeProvider.System);
        source.Load(await File.ReadAllTextAsync(file, cancel));
        await using var host = await XdsHost.StartAsync(socket, source, Console.Error.WriteLine, cancel);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancel, host.Lifetime.ApplicationStopping);
        Console.WriteLine($"serving {file} on {socket}");
        try
        {
            while (true)
            {
                await changes.NextAsync(ending.Token);
                Reload(source, file);
            }
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
    }

    static void Reload(FileSnapshots source, string file)
    {
        try
        {
            source.Load(File.ReadAllText(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            Console.Error.WriteLine($"{file}: {e.Message}; what was served before stays");
        }
    }
}
