using System.Text.Json.Nodes;
using Weir.Node.Addresses;
using Weir.Node.Images;
using Weir.Node.Injection;
using Weir.Node.Pods;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Yaml;

namespace Weir.Node.Tests;

public class PodTests
{
    static readonly Dictionary<string, string> Path_ = new() { ["PATH"] = Environment.GetEnvironmentVariable("PATH")! };

    static async Task<string> UntilAsync(Func<string?> read)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        string? value;
        while (string.IsNullOrEmpty(value = read()))
        {
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, limit.Token);
        }

        return value;
    }

    static string? ReadIfThere(string path) => File.Exists(path) ? File.ReadAllText(path) : null;

    [Fact]
    public async Task A_container_is_found_again_by_its_record_and_its_exit_code_is_kept()
    {
        var directory = Directory.CreateTempSubdirectory("weir-pod-").FullName;
        var command = new ContainerCommand(["/bin/sh", "-c", "echo hello; read x < fifo; exit 7"], Path_, directory);
        using (var mkfifo = System.Diagnostics.Process.Start("mkfifo", Path.Combine(directory, "fifo")))
        {
            await mkfifo.WaitForExitAsync();
        }

        var started = ContainerProcess.Start(directory, "main", 0, command, DateTimeOffset.UnixEpoch, () => { });
        Assert.Equal("hello\n", await UntilAsync(() => ReadIfThere(ContainerProcess.LogPath(directory, "main", 0))));

        // Another node process knows only what is on disk.
        var ended = new TaskCompletionSource();
        var adopted = ContainerProcess.Adopt(directory, ContainerProcess.ReadRecord(directory, "main")!, ended.SetResult)!;
        Assert.Equal(started.Record, adopted.Record);
        await File.WriteAllTextAsync(Path.Combine(directory, "fifo"), "go\n");
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(10));

        Assert.Equal(7, ContainerProcess.ReadExitCode(directory, "main"));
        Assert.Null(ContainerProcess.Adopt(directory, started.Record, () => { }));
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task A_record_of_another_process_with_the_same_pid_is_not_adopted()
    {
        var pods = Directory.CreateTempSubdirectory("weir-pods-").FullName;
        var pod = Directory.CreateDirectory(Path.Combine(pods, "uid")).FullName;
        var started = ContainerProcess.Start(pod, "main", 0, new ContainerCommand(["/bin/sleep", "60"], Path_, pod), DateTimeOffset.UnixEpoch, () => { });

        Assert.Null(ContainerProcess.Adopt(pod, started.Record with { StartTicks = started.Record.StartTicks + 1 }, () => { }));

        Assert.Equal(1, await PodRecords.StopAllAsync(pods, TimeSpan.FromSeconds(5), TimeProvider.System));
        await started.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromSeconds(10)).Token);
        Assert.Empty(Directory.GetDirectories(pods));
    }

    [Theory]
    [InlineData("enabled", null, null, true)]
    [InlineData("enabled", null, "false", false)]
    [InlineData(null, "true", null, true)]
    [InlineData(null, null, "true", true)]
    [InlineData(null, null, null, false)]
    [InlineData("disabled", null, null, false)]
    public void Injection_follows_the_pod_then_its_namespace(string? ns, string? label, string? annotation, bool expected)
    {
        var space = Resource.New("v1", "Namespace", null, "test");
        space.Metadata["labels"] = ns is null ? null : new JsonObject { ["istio-injection"] = ns };
        var pod = new Resource(YamlReader.Parse("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: test}\nspec: {containers: [{name: a, image: x, env: [{name: HTTP_PROXY, value: own}]}]}")[0].AsObject());
        pod.Metadata["labels"] = label is null ? null : new JsonObject { ["sidecar.istio.io/inject"] = label };
        pod.Metadata["annotations"] = annotation is null ? null : new JsonObject { ["sidecar.istio.io/inject"] = annotation };

        new SidecarInjector(_ => space, "weir/proxy").Admit(KindCatalog.Default.Get("", "Pod"), pod, null);

        Assert.Equal(expected, ContainerEnvironment.IsInjected(pod));
        Assert.Equal("own", pod.Spec.Objects("containers").First().Objects("env").First(e => e.Text("name") == "HTTP_PROXY").Text("value"));
        Assert.Equal(expected, pod.Spec.Objects("containers").First().Objects("env").Any(e => e.Text("name") == "http_proxy"));
    }

    [Theory]
    [InlineData("ghcr.io/stefanprodan/podinfo:6.0.0", "podinfo", "6.0.0")]
    [InlineData("docker.io/stefanprodan/podinfo:6.0.0", "podinfo", "6.0.0")]
    [InlineData("stefanprodan/podinfo", "podinfo", "latest")]
    [InlineData("stefanprodan/podinfo:1@sha256:abc", "podinfo", "1")]
    [InlineData("localhost:5000/podinfo:1", null, "1")]
    public void Images_are_found_by_name_for_any_tag(string reference, string? directory, string tag)
    {
        var catalogue = new ImageCatalogue([new("ghcr.io/stefanprodan/podinfo", "podinfo", []), new("stefanprodan/podinfo", "podinfo", [])], "/nonexistent");

        var (entry, found) = catalogue.Find(reference);

        Assert.Equal((directory, tag), (entry?.Directory, found));
    }

    [Fact]
    public void Addresses_of_pods_applications_and_services_never_meet()
    {
        var network = new NodeNetwork(5);

        Assert.Equal("127.69.0.1", network.PodAddress(0).ToString());
        Assert.Equal("127.5.0.1", NodeNetwork.ApplicationAddress("127.69.0.1"));
        Assert.Equal("127.133.1.1", network.ServiceAddress(254).ToString());
    }

    [Fact]
    public void A_freed_address_is_not_used_again_at_once()
    {
        var pool = new AddressPool(new NodeNetwork(5).PodAddress);
        var first = pool.Take();
        pool.Release(first);

        Assert.NotEqual(first, pool.Take());
    }
}
