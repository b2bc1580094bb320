using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Values;

namespace Weir.App.Commands;

/// <summary><c>weir describe</c>: everything about an object, with its events.</summary>
static class DescribeCommand
{
    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var ns = Shared.Namespace();
        var kindName = new Argument<string>("KIND");
        var name = new Argument<string>("NAME");
        var command = new Command("describe", "Show everything about a resource, events included.\n\nExample: weir describe canary podinfo -n demo") { kindName, name, ns, data, kubeconfig };
        command.SetAction(async (parsed, cancel) =>
        {
            var (client, defaultNamespace) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            var kind = Shared.Kind(parsed.GetValue(kindName)!);
            var key = new ObjectKey(kind.IsNamespaced ? parsed.GetValue(ns) ?? defaultNamespace : "", parsed.GetValue(name)!);
            var resource = await client.GetAsync(kind, key, cancel)
                ?? throw new CommandException($"Error from server (NotFound): {kind.QualifiedPlural} \"{key.Name}\" not found");
            Console.WriteLine($"Name:         {resource.Name}");
            Console.WriteLine($"Namespace:    {resource.Namespace}");
            Console.WriteLine($"API Version:  {resource.ApiVersion}");
            Console.WriteLine($"Kind:         {resource.Kind}");
            foreach (var (field, value) in resource.Json.Where(p => p.Key is not ("apiVersion" or "kind")))
            {
                Write(field, kind.Kind == "Secret" && field is "data" or "stringData" ? Masked(value) : value, 0);
            }

            await EventsCommand.WriteAsync(client, resource.Namespace, $"involvedObject.uid={resource.Uid}", TimeProvider.System, cancel);
            return 0;
        });
        return command;
    }

    static void Write(string name, JsonNode? value, int depth)
    {
        var indent = new string(' ', depth * 2);
        var title = JsonNamingPolicy.CamelCase.ConvertName(name) == name ? char.ToUpperInvariant(name[0]) + name[1..] : name;
        switch (value)
        {
            case JsonObject map:
                Console.WriteLine($"{indent}{title}:");
                foreach (var (field, child) in map.Where(p => p.Key is not ("managedFields" or "kubectl.kubernetes.io/last-applied-configuration")))
                {
                    Write(field, child, depth + 1);
                }

                break;
            case JsonArray list when list.All(i => i is JsonValue):
                Console.WriteLine($"{indent}{title}:  {string.Join(", ", list.Select(i => i.Text()))}");
                break;
            case JsonArray list:
                Console.WriteLine($"{indent}{title}:");
                foreach (var item in list)
                {
                    Write("-", item, depth + 1);
                }

                break;
            default:
                Console.WriteLine($"{indent}{title}:  {value.Text()}");
                break;
        }
    }

    /// <summary>Sizes instead of secrets, as kubectl does.</summary>
    static JsonObject Masked(JsonNode? data) =>
        new((data as JsonObject ?? []).Select(p => KeyValuePair.Create<string, JsonNode?>(p.Key, $"{(p.Value.Text() ?? "").Length * 3 / 4} bytes")));
}
