using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Weir.Client;
using Weir.Node.Addresses;
using Weir.Node.Images;
using Weir.Node.Injection;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Pods;

/// <summary>A container cannot be started as it is written; the reason is what its status shows.</summary>
public sealed class ContainerConfigException(string reason, string message) : Exception(message)
{
    public string Reason { get; } = reason;
}

/// <summary>What to run for a container: the program, its arguments, its environment and its directory.</summary>
public sealed record ContainerCommand(IReadOnlyList<string> Arguments, IReadOnlyDictionary<string, string> Environment, string Directory);

/// <summary>Turns a container of a pod's spec into a command of this machine, as a kubelet and a container runtime would.</summary>
public sealed partial class ContainerEnvironment(KubeClient client, KindCatalog catalog, ImageCatalogue images, IReadOnlyDictionary<string, string> nodeVariables)
{
    /// <summary>Where the application is to listen: <c>HOST</c> for its programs, this name for use in <c>$(…)</c>.</summary>
    public const string ApplicationAddressVariable = "WEIR_APP_IP";

    /// <summary>The tag of the container's image, which the samples report as their version.</summary>
    public const string ImageTagVariable = "WEIR_IMAGE_TAG";

    [GeneratedRegex(@"\$\$|\$\(([^)]+)\)")]
    private static partial Regex Reference();

    /// <exception cref="ContainerConfigException">An image, a key or a command does not exist.</exception>
    public async Task<ContainerCommand> BuildAsync(Resource pod, JsonObject container, string podAddress, string podDirectory, CancellationToken cancel)
    {
        var image = container.Text("image") ?? "";
        var (entry, tag) = images.Find(image);
        if (entry is null)
        {
            throw new ContainerConfigException("ErrImagePull",
                $"failed to pull image \"{image}\": not in the image catalogue (weir image list shows what is; weir image add puts it there)");
        }

        var applicationAddress = IsInjected(pod) && container.Text("name") != SidecarInjector.ContainerName
            ? NodeNetwork.ApplicationAddress(podAddress) : podAddress;
        var environment = BaseEnvironment(pod, container, entry, tag, applicationAddress);
        await AddSourcesAsync(environment, pod, container, cancel);
        await AddVariablesAsync(environment, pod, container, podAddress, cancel);
        var mounts = await VolumesAsync(pod, container, podDirectory, cancel);
        foreach (var name in environment.Keys.ToList())
        {
            environment[name] = Relocate(environment[name], mounts);
        }

        var command = container["command"] is JsonArray { Count: > 0 } own ? Expand(own, environment) : [.. entry.Command];
        string[] arguments = [.. command, .. Expand(container["args"] as JsonArray ?? [], environment)];
        if (arguments.Length == 0)
        {
            throw new ContainerConfigException("CreateContainerError", $"no command specified: image \"{image}\" has none of its own");
        }

        arguments = [.. arguments.Select(a => Relocate(a, mounts))];
        arguments[0] = Locate(arguments[0], entry);
        var directory = container.Text("workingDir") is { } wanted && System.IO.Directory.Exists(Relocate(wanted, mounts)) ? Relocate(wanted, mounts)
            : entry.Directory.Length > 0 ? entry.Directory : podDirectory;
        return new ContainerCommand(arguments, environment, directory);
    }

    public static bool IsInjected(Resource pod) => pod.Spec.Objects("containers").Any(c => c.Text("name") == SidecarInjector.ContainerName)
        && pod.Annotations.ContainsKey("sidecar.istio.io/status");

    Dictionary<string, string> BaseEnvironment(Resource pod, JsonObject container, ImageEntry entry, string tag, string applicationAddress)
    {
        // Nothing of this process's own environment but what programs need to start at all: it may hold secrets.
        var environment = new Dictionary<string, string>(nodeVariables, StringComparer.Ordinal)
        {
            ["HOSTNAME"] = pod.Name,
            ["HOST"] = applicationAddress,
            [ApplicationAddressVariable] = applicationAddress,
            [ImageTagVariable] = tag,
        };
        if (entry.Directory.Length > 0)
        {
            environment["PATH"] = $"{entry.Directory}:{environment.GetValueOrDefault("PATH")}";
        }

        if (container.Objects("ports").FirstOrDefault().Number("containerPort") is { } port)
        {
            environment["ASPNETCORE_URLS"] = $"http://{applicationAddress}:{port}";
        }

        return environment;
    }

    async Task AddSourcesAsync(Dictionary<string, string> environment, Resource pod, JsonObject container, CancellationToken cancel)
    {
        foreach (var source in container.Objects("envFrom"))
        {
            foreach (var (field, kind) in new[] { ("configMapRef", "ConfigMap"), ("secretRef", "Secret") })
            {
                if (source[field] is JsonObject reference)
                {
                    var data = await DataAsync(kind, pod.Namespace, reference.Text("name") ?? "", reference.Flag("optional"), cancel);
                    foreach (var (name, value) in data ?? [])
                    {
                        environment[source.Text("prefix") + name] = Encoding.UTF8.GetString(value);
                    }
                }
            }
        }
    }

    async Task AddVariablesAsync(Dictionary<string, string> environment, Resource pod, JsonObject container, string podAddress, CancellationToken cancel)
    {
        foreach (var variable in container.Objects("env"))
        {
            var name = variable.Text("name")!;
            var source = variable["valueFrom"];
            if (source is null)
            {
                environment[name] = Substitute(variable.Text("value") ?? "", environment);
            }
            else if (source.Text("fieldRef", "fieldPath") is { } path)
            {
                environment[name] = Field(pod, path, podAddress);
            }
            else if (source.At("resourceFieldRef") is { } resourceRef)
            {
                var parts = (resourceRef.Text("resource") ?? "").Split('.');
                environment[name] = container.Text("resources", parts[0], parts[^1]) ?? "0";
            }
            else
            {
                var kind = source.At("configMapKeyRef") is null ? "Secret" : "ConfigMap";
                var reference = source.At("configMapKeyRef") ?? source.At("secretKeyRef");
                var isOptional = reference.Flag("optional");
                var data = await DataAsync(kind, pod.Namespace, reference.Text("name") ?? "", isOptional, cancel);
                var key = reference.Text("key") ?? "";
                if (data is not null && data.TryGetValue(key, out var value))
                {
                    environment[name] = Encoding.UTF8.GetString(value);
                }
                else if (!isOptional)
                {
                    throw new ContainerConfigException("CreateContainerConfigError", $"couldn't find key {key} in {kind} {pod.Namespace}/{reference.Text("name")}");
                }
            }
        }
    }

    static string Field(Resource pod, string path, string podAddress) => path switch
    {
        "status.podIP" or "status.podIPs" => podAddress,
        "status.hostIP" => "127.0.0.1",
        "spec.nodeName" => pod.Spec.Text("nodeName") ?? "",
        "spec.serviceAccountName" => pod.Spec.Text("serviceAccountName") ?? "default",
        _ when path.StartsWith("metadata.labels['", StringComparison.Ordinal) => pod.Labels.GetValueOrDefault(path[17..^2]) ?? "",
        _ when path.StartsWith("metadata.annotations['", StringComparison.Ordinal) => pod.Annotations.GetValueOrDefault(path[22..^2]) ?? "",
        _ => pod.Json.Text(path.Split('.')) ?? "",
    };

    /// <summary>
    /// Writes a container's volumes below the pod's directory. A process of this machine has no mounts of its own, so the mount
    /// paths that its command and variables mention are replaced by where the volumes really are.
    /// </summary>
    async Task<List<(string MountPath, string Real)>> VolumesAsync(Resource pod, JsonObject container, string podDirectory, CancellationToken cancel)
    {
        var mounts = new List<(string, string)>();
        var volumes = pod.Spec.Objects("volumes").ToDictionary(v => v.Text("name") ?? "");
        foreach (var mount in container.Objects("volumeMounts"))
        {
            if (!volumes.TryGetValue(mount.Text("name") ?? "", out var volume))
            {
                continue;
            }

            var directory = volume.Text("hostPath", "path") ?? Path.Combine(podDirectory, "volumes", mount.Text("name")!);
            System.IO.Directory.CreateDirectory(directory);
            if (volume["configMap"] is JsonObject map)
            {
                await WriteFilesAsync(directory, "ConfigMap", pod.Namespace, map.Text("name") ?? "", map, cancel);
            }
            else if (volume["secret"] is JsonObject secret)
            {
                await WriteFilesAsync(directory, "Secret", pod.Namespace, secret.Text("secretName") ?? "", secret, cancel);
            }

            mounts.Add((mount.Text("mountPath")!.TrimEnd('/'), Path.Combine(directory, mount.Text("subPath") ?? "")));
        }

        return [.. mounts.OrderByDescending(m => m.Item1.Length)];
    }

    async Task WriteFilesAsync(string directory, string kind, string ns, string name, JsonObject source, CancellationToken cancel)
    {
        var data = await DataAsync(kind, ns, name, source.Flag("optional"), cancel);
        var items = source.Objects("items").ToDictionary(i => i.Text("key") ?? "", i => i.Text("path") ?? "");
        foreach (var (key, value) in data ?? [])
        {
            if (items.Count > 0 && !items.ContainsKey(key))
            {
                continue;
            }

            var path = Path.GetFullPath(Path.Combine(directory, items.GetValueOrDefault(key, key)));
            if (!path.StartsWith(directory + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            {
                throw new ContainerConfigException("CreateContainerConfigError", $"the path of key {key} leaves its volume");
            }

            System.IO.Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllBytesAsync(path, value, cancel);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
    }

    async Task<Dictionary<string, byte[]>?> DataAsync(string kind, string ns, string name, bool isOptional, CancellationToken cancel)
    {
        var source = await client.GetAsync(catalog.Get("", kind), new ObjectKey(ns, name), cancel);
        if (source is null)
        {
            return isOptional ? null
                : throw new ContainerConfigException("CreateContainerConfigError", $"{kind.ToLowerInvariant()} \"{name}\" not found");
        }

        var data = source.Json.TextMap("data").ToDictionary(
            p => p.Key, p => kind == "Secret" ? Convert.FromBase64String(p.Value) : Encoding.UTF8.GetBytes(p.Value));
        foreach (var (key, value) in source.Json.TextMap("binaryData"))
        {
            data[key] = Convert.FromBase64String(value);
        }

        return data;
    }

    static string[] Expand(JsonArray list, Dictionary<string, string> environment) =>
        [.. list.Select(item => Substitute(item.Text() ?? "", environment))];

    /// <summary><c>$(NAME)</c> becomes the variable if there is one and stays otherwise; <c>$$</c> is a dollar sign.</summary>
    static string Substitute(string text, Dictionary<string, string> environment) => Reference().Replace(text, match =>
        match.Value == "$$" ? "$" : environment.GetValueOrDefault(match.Groups[1].Value) ?? match.Value);

    static string Relocate(string text, List<(string MountPath, string Real)> mounts)
    {
        foreach (var (mountPath, real) in mounts)
        {
            text = text.Replace(mountPath, real, StringComparison.Ordinal);
        }

        return text;
    }

    public static string Locate(string program, ImageEntry entry)
    {
        if (entry.Directory.Length > 0)
        {
            var inImage = Path.GetFullPath(Path.Combine(entry.Directory, program.TrimStart('/')));
            if (File.Exists(inImage))
            {
                return inImage;
            }
        }

        if (program.Contains('/'))
        {
            return File.Exists(program) ? program : throw Missing(program);
        }

        foreach (var directory in (System.Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin").Split(':'))
        {
            if (File.Exists(Path.Combine(directory, program)))
            {
                return Path.Combine(directory, program);
            }
        }

        throw Missing(program);
    }

    static ContainerConfigException Missing(string program) =>
        new("RunContainerError", $"exec: \"{program}\": executable file not found in the image's directory or on PATH");
}
