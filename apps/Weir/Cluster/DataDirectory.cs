using System.Text.Json;
using Weir.Identity;
using Weir.Node.Pods;
using Weir.Resources;

namespace Weir.App.Cluster;

/// <summary>What stays the same over the life of a cluster: where it is found again after a restart.</summary>
public sealed record ClusterIdentity(int ApiPort, int NetworkBlock, string Token);

/// <summary>The process that serves a data directory.</summary>
public sealed record Holder(int Pid, long StartTicks);

/// <summary>The one directory that a cluster keeps all its state in.</summary>
public sealed class DataDirectory
{
    public DataDirectory(string path)
    {
        Path = System.IO.Path.GetFullPath(path);
    }

    public string Path { get; }
    public string Kubeconfig => At("kubeconfig");
    public string Database => At("store.db");
    public string Pods => At("pods");
    public string Authority => At("pki");
    public string Log => At("weir.log");
    public string Images => At("images.json");

    /// <summary>Where proxies find the control plane. Unix sockets have short names, so a long directory gets one elsewhere.</summary>
    public string XdsSocket => At("xds.sock").Length < 100
        ? At("xds.sock")
        : System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"weir-{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Path)).AsSpan(0, 8))}.sock");

    string At(string name) => System.IO.Path.Combine(Path, name);

    public static string Default =>
        Environment.GetEnvironmentVariable("WEIR_DATA") is { Length: > 0 } data ? data
            : System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".weir");

    public void Create()
    {
        // The directory itself may be the user's own, with a mode he chose; what is put into it is private.
        const UnixFileMode mine = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(Path, mine);
        Directory.CreateDirectory(Pods, mine);
        Directory.CreateDirectory(Authority, mine);
    }

    /// <summary>Takes the directory for this process until the handle is disposed; null when another has it.</summary>
    public IDisposable? TryLock()
    {
        try
        {
            // Opening without sharing takes an advisory lock, which the kernel drops with the process, however that ends.
            var handle = new FileStream(At("lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            File.WriteAllText(At("holder.json"), JsonSerializer.Serialize(
                new Holder(Environment.ProcessId, ContainerProcess.StartTicks(Environment.ProcessId) ?? 0), Resource.JsonOptions));
            return handle;
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>The living process that has the directory, if any.</summary>
    public Holder? FindHolder()
    {
        var file = At("holder.json");
        if (!File.Exists(file))
        {
            return null;
        }

        try
        {
            var holder = JsonSerializer.Deserialize<Holder>(File.ReadAllText(file), Resource.JsonOptions);
            return holder is not null && ContainerProcess.StartTicks(holder.Pid) == holder.StartTicks ? holder : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public ClusterIdentity? ReadIdentity() =>
        File.Exists(At("cluster.json")) ? JsonSerializer.Deserialize<ClusterIdentity>(File.ReadAllText(At("cluster.json")), Resource.JsonOptions) : null;

    public void WriteIdentity(ClusterIdentity identity) =>
        PrivateFile.Write(At("cluster.json"), JsonSerializer.Serialize(identity, Resource.JsonOptions));
}
