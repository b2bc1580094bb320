using System.CommandLine;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Yaml;

namespace Weir.App.Commands;

/// <summary><c>weir get</c>: tables as the server makes them, or the objects as YAML, JSON or names.</summary>
static class GetCommand
{
    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var ns = Shared.Namespace();
        var all = Shared.AllNamespaces();
        var kinds = new Argument<string>("KIND") { Description = "Kind, plural or short name; several with commas; or \"all\"." };
        var names = new Argument<string[]>("NAME") { Arity = ArgumentArity.ZeroOrMore };
        var output = new Option<string?>("--output", "-o") { Description = "wide, yaml, json or name." };
        var selector = new Option<string?>("--selector", "-l") { Description = "Label selector." };
        var noHeaders = new Option<bool>("--no-headers") { Description = "Without the titles." };
        var command = new Command("get", "Show resources.\n\nExample: weir get canary,deploy,pods -n demo") { kinds, names, ns, all, output, selector, noHeaders, data, kubeconfig };
        command.SetAction(async (parsed, cancel) =>
        {
            var (client, defaultNamespace) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            var space = parsed.GetValue(all) ? null : parsed.GetValue(ns) ?? defaultNamespace;
            var found = parsed.GetValue(kinds)!.Split(',').SelectMany(k => KindCatalog.Default.FindByCategory(k) is { Count: > 0 } many ? many : [Shared.Kind(k)]).ToList();
            var code = 0;
            foreach (var kind in found)
            {
                code |= await ShowAsync(
                    client, kind, space, parsed.GetValue(names)!, parsed.GetValue(output) ?? "", parsed.GetValue(selector), !parsed.GetValue(noHeaders), found.Count > 1, cancel);
            }

            return code;
        });
        return command;
    }

    static async Task<int> ShowAsync(
        KubeClient client, ResourceKind kind, string? ns, string[] names, string output, string? selector, bool withTitles, bool isOneOfMany, CancellationToken cancel)
    {
        var paths = names.Length == 0
            ? [kind.StoredPath(ns) + (selector is null ? "" : "?labelSelector=" + Uri.EscapeDataString(selector))]
            : names.Select(n => $"{kind.StoredPath(ns)}/{Uri.EscapeDataString(n)}").ToArray();
        var code = 0;
        foreach (var path in paths)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            var asTable = output is "" or "wide";
            request.Headers.Accept.Add(MediaTypeWithQualityHeaderValue.Parse(asTable ? "application/json;as=Table;v=v1;g=meta.k8s.io" : "application/json"));
            using var response = await client.Http.SendAsync(request, cancel);
            var json = JsonNode.Parse(await response.Content.ReadAsByteArrayAsync(cancel))!.AsObject();
            if (!response.IsSuccessStatusCode)
            {
                Console.Error.WriteLine($"Error from server ({json.Text("reason")}): {json.Text("message")}");
                code = 1;
            }
            else if (asTable)
            {
                WriteTable(kind, json, output == "wide", ns is null && kind.IsNamespaced, withTitles, isOneOfMany);
            }
            else
            {
                WriteObjects(kind, json, output);
            }
        }

        return code;
    }

    static void WriteTable(ResourceKind kind, JsonObject table, bool wide, bool withNamespace, bool withTitles, bool isOneOfMany)
    {
        var columns = table.Objects("columnDefinitions").Select((c, i) => (Title: c.Text("name")!.ToUpperInvariant(), Index: i, Shown: wide || c.Number("priority") == 0))
            .Where(c => c.Shown).ToList();
        var rows = table.Objects("rows").Select(r =>
        {
            var cells = (r["cells"] as JsonArray)!;
            var shown = columns.Select(c => cells[c.Index].Text() ?? "").ToList();
            shown[0] = isOneOfMany ? $"{kind.QualifiedSingular}/{shown[0]}" : shown[0];
            return (IReadOnlyList<string>)(withNamespace ? [r.Text("object", "metadata", "namespace") ?? "", .. shown] : shown);
        }).ToList();
        if (rows.Count == 0)
        {
            if (!isOneOfMany)
            {
                Console.Error.WriteLine("No resources found.");
            }

            return;
        }

        var titles = columns.Select(c => c.Title);
        TextTable.Write(Console.Out, [.. withNamespace ? titles.Prepend("NAMESPACE") : titles], rows, withTitles);
        if (isOneOfMany)
        {
            Console.WriteLine();
        }
    }

    static void WriteObjects(ResourceKind kind, JsonObject json, string output)
    {
        switch (output)
        {
            case "yaml":
                Console.Write(YamlWriter.Write(json));
                break;
            case "json":
                Console.WriteLine(json.ToJsonString(new JsonSerializerOptions(Resource.JsonOptions) { WriteIndented = true }));
                break;
            case "name":
                foreach (var item in json["items"] is JsonArray ? json.Objects("items") : [json])
                {
                    Console.WriteLine($"{kind.QualifiedSingular}/{item.Text("metadata", "name")}");
                }

                break;
            default:
                throw new CommandException($"unable to match a printer suitable for the output format \"{output}\", allowed formats are: json,name,wide,yaml");
        }
    }
}
