using System.CommandLine;
using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;

namespace Weir.App.Commands;

/// <summary><c>weir apply -f</c>: creates or changes resources, as <c>kubectl apply</c> does, with a three-way merge.</summary>
static class ApplyCommand
{
    const string LastApplied = "kubectl.kubernetes.io/last-applied-configuration";

    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var ns = Shared.Namespace();
        var files = new Option<string[]>("--filename", "-f") { Description = "File, directory, or - for standard input.", HelpName = "FILE", Required = true };
        var command = new Command("apply", "Create or change resources from YAML or JSON.\n\nExample: weir apply -f canary.yaml") { files, ns, data, kubeconfig };
        command.SetAction(async (parsed, cancel) =>
        {
            var (client, defaultNamespace) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            var failed = 0;
            foreach (var (kind, resource, source) in Manifests.Read(parsed.GetValue(files)!, parsed.GetValue(ns) ?? defaultNamespace))
            {
                var name = $"{kind.QualifiedSingular}/{resource.Name}";
                var applied = resource.Json.ToJsonString(Resource.JsonOptions);
                var (result, verb) = await ApplyAsync(client, kind, resource, applied, cancel);
                if (result.IsDone)
                {
                    Console.WriteLine($"{name} {verb}");
                    continue;
                }

                failed++;
                Console.Error.WriteLine($"Error from server: error when applying \"{source}\": {result.Message}");
            }

            return failed == 0 ? 0 : 1;
        });
        return command;
    }

    static async Task<(WriteResult Result, string Verb)> ApplyAsync(
        KubeClient client, Resources.Kinds.ResourceKind kind, Resource wanted, string applied, CancellationToken cancel)
    {
        var annotations = wanted.Metadata["annotations"] as JsonObject ?? [];
        annotations[LastApplied] = applied + "\n";
        wanted.Metadata["annotations"] = annotations;
        var current = await client.GetAsync(kind, wanted.Key, cancel);
        if (current is null)
        {
            return (await client.CreateAsync(kind, wanted, cancel), "created");
        }

        var previous = current.Annotations.TryGetValue(LastApplied, out var text) ? JsonNode.Parse(text) as JsonObject : null;
        var result = await client.PatchAsync(kind, wanted.Key, ThreeWayMerge.Patch(previous, wanted.Json), cancel);
        return (result, result.Resource?.ResourceVersion == current.ResourceVersion ? "unchanged" : "configured");
    }
}

/// <summary>What to change so that an object becomes what is wanted, and loses what was once applied and is wanted no more.</summary>
static class ThreeWayMerge
{
    /// <returns>A JSON merge patch.</returns>
    public static JsonObject Patch(JsonObject? previous, JsonObject wanted)
    {
        var patch = wanted.DeepClone().AsObject();
        AddRemovals(patch, previous, wanted);
        return patch;
    }

    static void AddRemovals(JsonObject patch, JsonObject? previous, JsonObject wanted)
    {
        foreach (var (name, old) in previous ?? [])
        {
            if (!wanted.ContainsKey(name))
            {
                patch[name] = null;
            }
            else if (old is JsonObject oldMap && wanted[name] is JsonObject map)
            {
                AddRemovals(patch[name]!.AsObject(), oldMap, map);
            }
        }
    }
}
