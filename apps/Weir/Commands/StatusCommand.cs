using System.CommandLine;
using Weir.App.Cluster;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.Commands;

/// <summary><c>weir status</c>: is it up, what runs in it, how are its releases.</summary>
static class StatusCommand
{
    public static Command Create()
    {
        var data = Shared.Data();
        var command = new Command("status", "Show whether the cluster is up, its pods and its releases. Exits with 3 when it is not up.") { data };
        command.SetAction(async (parsed, cancel) =>
        {
            var directory = new DataDirectory(parsed.GetValue(data)!);
            if (directory.FindHolder() is not { } holder)
            {
                Console.WriteLine($"not running: {directory.Path}");
                return 3;
            }

            var (client, _) = Shared.Connect(null, directory.Path);
            var pods = (await client.ListAsync(KindCatalog.Default.Get("", "Pod"), null, cancel)).Items;
            var canaries = (await client.ListAsync(KindCatalog.Default.Get("flagger.app", "Canary"), null, cancel)).Items;
            Console.WriteLine($"running: pid {holder.Pid}, {client.Http.BaseAddress}, {directory.Path}");
            Console.WriteLine($"pods: {pods.Count(IsReady)} of {pods.Count} ready");
            foreach (var url in await GatewayCommand.FindAsync(client, cancel))
            {
                Console.WriteLine($"gateway: {url}");
            }

            foreach (var canary in canaries)
            {
                Console.WriteLine($"canary {canary.Key}: {canary.Status.Text("phase")}, weight {canary.Status.Text("canaryWeight") ?? "0"}");
            }

            return 0;
        });
        return command;
    }

    static bool IsReady(Resource pod) => pod.Status.Objects("conditions").Any(c => c.Text("type") == "Ready" && c.Text("status") == "True");
}
