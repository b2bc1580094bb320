using System.CommandLine;
using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.Commands;

/// <summary><c>weir logs</c>: of a pod, or of a deployment's first pod.</summary>
static class LogsCommand
{
    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var ns = Shared.Namespace();
        var target = new Argument<string>("POD") { Description = "Pod, or deploy/NAME." };
        var container = new Option<string?>("--container", "-c");
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on as it grows." };
        var tail = new Option<int?>("--tail") { Description = "Only the last lines." };
        var previous = new Option<bool>("--previous", "-p") { Description = "Of the container before its last restart." };
        var command = new Command("logs", "Show a container's log.\n\nExample: weir logs deploy/podinfo -n demo -f") { target, container, follow, tail, previous, ns, data, kubeconfig };
        command.SetAction(async (parsed, cancel) =>
        {
            var (client, defaultNamespace) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            var pod = await PodTarget.FindAsync(client, parsed.GetValue(ns) ?? defaultNamespace, parsed.GetValue(target)!, cancel);
            var query = new List<string>();
            if (parsed.GetValue(container) is { } name)
            {
                query.Add($"container={Uri.EscapeDataString(name)}");
            }

            if (parsed.GetValue(follow))
            {
                query.Add("follow=true");
            }

            if (parsed.GetValue(tail) is { } lines)
            {
                query.Add($"tailLines={lines}");
            }

            if (parsed.GetValue(previous))
            {
                query.Add("previous=true");
            }

            using var request = new HttpRequestMessage(HttpMethod.Get, $"{KindCatalog.Default.Get("", "Pod").StoredPath(pod.Namespace)}/{pod.Name}/log?{string.Join('&', query)}");
            using var response = await client.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
            if (!response.IsSuccessStatusCode)
            {
                throw new CommandException(JsonNode.Parse(await response.Content.ReadAsStringAsync(cancel)).Text("message") ?? "no log");
            }

            await using var output = Console.OpenStandardOutput();
            await (await response.Content.ReadAsStreamAsync(cancel)).CopyToAsync(output, cancel);
            return 0;
        });
        return command;
    }
}

/// <summary>A pod by its name, or by what owns it.</summary>
static class PodTarget
{
    public static async Task<Resource> FindAsync(KubeClient client, string ns, string target, CancellationToken cancel)
    {
        var pods = KindCatalog.Default.Get("", "Pod");
        if (target.Split('/') is not [var kindName, var name])
        {
            return await client.GetAsync(pods, new ObjectKey(ns, target), cancel) ?? throw new CommandException($"pods \"{target}\" not found");
        }

        var kind = Shared.Kind(kindName);
        var owner = await client.GetAsync(kind, new ObjectKey(ns, name), cancel) ?? throw new CommandException($"{kind.QualifiedPlural} \"{name}\" not found");
        if (kind.Kind == "Pod")
        {
            return owner;
        }

        var found = await client.ListAsync(pods, ns, cancel, LabelSelector.FromJson(owner.Spec["selector"]).ToString());
        return found.Items.OrderByDescending(p => p.Status.Text("phase") == "Running").FirstOrDefault() ?? throw new CommandException($"{target} has no pods");
    }
}
