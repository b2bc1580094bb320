using System.CommandLine;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.Commands;

/// <summary><c>weir delete</c>: by name or by file; waits until the objects are gone.</summary>
static class DeleteCommand
{
    static readonly TimeSpan WaitLimit = TimeSpan.FromSeconds(60);

    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var ns = Shared.Namespace();
        var files = new Option<string[]>("--filename", "-f") { Description = "Delete what these files name.", HelpName = "FILE" };
        var wait = new Option<bool>("--wait") { Description = "Wait until they are gone.", DefaultValueFactory = _ => true };
        var arguments = new Argument<string[]>("KIND NAME") { Arity = ArgumentArity.ZeroOrMore, Description = "Kind and names." };
        var command = new Command("delete", "Delete resources.\n\nExample: weir delete canary podinfo -n demo") { arguments, files, wait, ns, data, kubeconfig };
        command.SetAction(async (parsed, cancel) =>
        {
            var (client, defaultNamespace) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            var space = parsed.GetValue(ns) ?? defaultNamespace;
            var words = parsed.GetValue(arguments)!;
            List<(ResourceKind Kind, ObjectKey Key)> targets =
            [
                .. parsed.GetValue(files) is { Length: > 0 } paths ? Manifests.Read(paths, space).Select(m => (m.Kind, m.Resource.Key)) : [],
                .. words.Skip(1).Select(n => (Shared.Kind(words[0]), new ObjectKey(Shared.Kind(words[0]).IsNamespaced ? space : "", n))),
            ];
            if (targets.Count == 0)
            {
                throw new CommandException("give a kind and names, or -f FILE");
            }

            var failed = 0;
            foreach (var (kind, key) in targets)
            {
                var result = await client.DeleteAsync(kind, key, cancel);
                if (result.IsDone)
                {
                    Console.WriteLine($"{kind.QualifiedSingular} \"{key.Name}\" deleted");
                }
                else
                {
                    failed++;
                    Console.Error.WriteLine($"Error from server ({result.Outcome}): {result.Message}");
                }
            }

            if (parsed.GetValue(wait))
            {
                await WaitAsync(client, targets, cancel);
            }

            return failed == 0 ? 0 : 1;
        });
        return command;
    }

    static async Task WaitAsync(KubeClient client, List<(ResourceKind Kind, ObjectKey Key)> targets, CancellationToken cancel)
    {
        var time = TimeProvider.System;
        var began = time.GetTimestamp();
        foreach (var (kind, key) in targets)
        {
            while (await client.GetAsync(kind, key, cancel) is not null)
            {
                if (time.GetElapsedTime(began) > WaitLimit)
                {
                    throw new CommandException($"{kind.Singular} {key} is not gone after {WaitLimit.TotalSeconds:0} s");
                }

                await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancel);
            }
        }
    }
}
