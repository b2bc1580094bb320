using System.CommandLine;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json.Nodes;
using Weir.App.Cluster;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.Commands;

/// <summary><c>weir exec</c>: a command beside a container, over the same WebSocket protocol as kubectl.</summary>
static class ExecCommand
{
    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var ns = Shared.Namespace();
        var target = new Argument<string>("POD") { Description = "Pod, or deploy/NAME." };
        var words = new Argument<string[]>("COMMAND") { Description = "After --.", Arity = ArgumentArity.OneOrMore };
        var container = new Option<string?>("--container", "-c");
        var stdin = new Option<bool>("--stdin", "-i") { Description = "Pass standard input on." };
        var command = new Command("exec", "Run a command in a container.\n\nExample: weir exec deploy/podinfo -n demo -- env") { target, words, container, stdin, ns, data, kubeconfig };
        command.SetAction(async (parsed, cancel) =>
        {
            var (client, defaultNamespace) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            var pod = await PodTarget.FindAsync(client, parsed.GetValue(ns) ?? defaultNamespace, parsed.GetValue(target)!, cancel);
            var query = string.Join('&', parsed.GetValue(words)!.Select(w => "command=" + Uri.EscapeDataString(w)))
                + $"&stdout=true&stderr=true&stdin={(parsed.GetValue(stdin) ? "true" : "false")}"
                + (parsed.GetValue(container) is { } name ? "&container=" + Uri.EscapeDataString(name) : "");
            var path = $"{KindCatalog.Default.Get("", "Pod").StoredPath(pod.Namespace)}/{pod.Name}/exec?{query}";
            var config = KubeConfig.Load(parsed.GetValue(kubeconfig) ?? new DataDirectory(parsed.GetValue(data)!).Kubeconfig);
            using var socket = await config.ConnectWebSocketAsync(path, "v5.channel.k8s.io", cancel);
            if (parsed.GetValue(stdin))
            {
                _ = SendInputAsync(socket, cancel);
            }

            return await ReceiveAsync(socket, cancel);
        });
        return command;
    }

    static async Task SendInputAsync(ClientWebSocket socket, CancellationToken cancel)
    {
        await using var input = Console.OpenStandardInput();
        var buffer = new byte[16 * 1024];
        int read;
        while ((read = await input.ReadAsync(buffer.AsMemory(1), cancel)) > 0)
        {
            buffer[0] = 0;
            await socket.SendAsync(buffer.AsMemory(0, read + 1), WebSocketMessageType.Binary, true, cancel);
        }

        await socket.SendAsync((byte[])[255, 0], WebSocketMessageType.Binary, true, cancel);
    }

    static async Task<int> ReceiveAsync(ClientWebSocket socket, CancellationToken cancel)
    {
        await using var output = Console.OpenStandardOutput();
        await using var error = Console.OpenStandardError();
        var buffer = new byte[64 * 1024];
        var message = new MemoryStream();
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(), cancel);
            if (received.MessageType == WebSocketMessageType.Close)
            {
                return 0;
            }

            message.Write(buffer, 0, received.Count);
            if (!received.EndOfMessage)
            {
                continue;
            }

            var bytes = message.ToArray();
            message.SetLength(0);
            if (bytes is [1, ..] or [2, ..])
            {
                await (bytes[0] == 1 ? output : error).WriteAsync(bytes.AsMemory(1), cancel);
            }
            else if (bytes is [3, ..])
            {
                return ExitCode(JsonNode.Parse(Encoding.UTF8.GetString(bytes.AsSpan(1))));
            }
        }
    }

    static int ExitCode(JsonNode? status)
    {
        if (status.Text("status") == "Success")
        {
            return 0;
        }

        Console.Error.WriteLine(status.Text("message"));
        return int.TryParse(status.Objects("details", "causes").FirstOrDefault().Text("message"), out var code) ? code : 1;
    }
}
