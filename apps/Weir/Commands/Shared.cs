using System.CommandLine;
using Weir.App.Cluster;
using Weir.Client;
using Weir.Resources.Kinds;

namespace Weir.App.Commands;

/// <summary>Options that several commands have, and the way to a running cluster.</summary>
static class Shared
{
    public static Option<string> Data() => new("--data")
    {
        Description = "The cluster's directory (default ~/.weir, or $WEIR_DATA).",
        HelpName = "DIR",
        DefaultValueFactory = _ => DataDirectory.Default,
    };

    public static Option<string?> Namespace() => new("--namespace", "-n") { Description = "Namespace (default: the kubeconfig's).", HelpName = "NS" };

    public static Option<bool> AllNamespaces() => new("--all-namespaces", "-A") { Description = "In all namespaces." };

    public static Option<string?> Kubeconfig() => new("--kubeconfig") { Description = "Another kubeconfig than the cluster's.", HelpName = "FILE" };

    /// <summary>The cluster of <c>--kubeconfig</c>, else of the data directory, else of <c>$KUBECONFIG</c>.</summary>
    public static (KubeClient Client, string Namespace) Connect(string? kubeconfig, string data)
    {
        var own = new DataDirectory(data).Kubeconfig;
        var path = kubeconfig ?? (File.Exists(own) ? own : Environment.GetEnvironmentVariable("KUBECONFIG") ?? own);
        if (!File.Exists(path))
        {
            throw new CommandException($"no cluster found: {path} does not exist (start one with: weir up)");
        }

        var config = KubeConfig.Load(path);
        return (new KubeClient(config.Connect()), config.Namespace);
    }

    public static ResourceKind Kind(string name) => KindCatalog.Default.FindByName(name)
        ?? throw new CommandException($"the server doesn't have a resource type \"{name}\"");
}
