using System.CommandLine;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Values;

namespace Weir.App.Commands;

/// <summary><c>weir events</c>: what happened, oldest first.</summary>
static class EventsCommand
{
    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var ns = Shared.Namespace();
        var all = Shared.AllNamespaces();
        var command = new Command("events", "Show events, oldest first.\n\nExample: weir events -n demo") { ns, all, data, kubeconfig };
        command.SetAction(async (parsed, cancel) =>
        {
            var (client, defaultNamespace) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            await WriteAsync(client, parsed.GetValue(all) ? null : parsed.GetValue(ns) ?? defaultNamespace, null, TimeProvider.System, cancel);
            return 0;
        });
        return command;
    }

    public static async Task WriteAsync(KubeClient client, string? ns, string? fieldSelector, TimeProvider time, CancellationToken cancel)
    {
        var events = await client.ListAsync(KindCatalog.Default.Get("", "Event"), ns, cancel, fieldSelector: fieldSelector);
        if (events.Items.Count == 0)
        {
            Console.WriteLine("Events:  <none>");
            return;
        }

        var now = time.GetUtcNow();
        TextTable.Write(Console.Out, ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], events.Items
            .OrderBy(e => e.Json.Time("lastTimestamp") ?? e.Created).ThenBy(e => long.Parse(e.ResourceVersion))
            .Select(e => (IReadOnlyList<string>)
            [
                HumanDuration.Format(now - (e.Json.Time("lastTimestamp") ?? e.Created)), e.Json.Text("type") ?? "", e.Json.Text("reason") ?? "",
                $"{e.Json.Text("involvedObject", "kind")}/{e.Json.Text("involvedObject", "name")}", e.Json.Text("message") ?? "",
            ]));
    }
}
