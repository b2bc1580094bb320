using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Yaml;

namespace Weir.EndToEnd.Tests;

/// <summary>The whole platform as its users meet it: the program, its API over HTTPS, real processes and proxies, an outside client.</summary>
public sealed class ReleaseTests : IAsyncLifetime
{
    static readonly string Root = WeirProgram.Root;
    static readonly ObjectKey Podinfo = new("shop", "podinfo");

    readonly string data = Directory.CreateTempSubdirectory("weir-e2e-").FullName;
    readonly ConcurrentQueue<string> answers = [];
    readonly CancellationTokenSource ending = new();
    KubeClient client = null!;
    Task outside = Task.CompletedTask;

    static ResourceKind Kind(string group, string kind) => KindCatalog.Default.Get(group, kind);

    Task<(int Code, string Output)> WeirAsync(params string[] arguments) => WeirProgram.RunAsync([.. arguments, "--data", data]);

    async Task UpAsync()
    {
        var (code, output) = await WeirAsync("up", "--detach");
        Assert.True(code == 0, output);
        client = new KubeClient(KubeConfig.Load(Path.Combine(data, "kubeconfig")).Connect());
    }

    public Task InitializeAsync() => UpAsync();

    public async Task DisposeAsync()
    {
        await ending.CancelAsync();
        await outside;
        await WeirAsync("down");
        Directory.Delete(data, recursive: true);
    }

    async Task<T> UntilAsync<T>(string what, int seconds, Func<Task<T?>> read)
        where T : class
    {
        var end = Stopwatch.StartNew();
        while (end.Elapsed < TimeSpan.FromSeconds(seconds))
        {
            if (await read() is { } value)
            {
                return value;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System);
        }

        var canary = await client.GetAsync(Kind("flagger.app", "Canary"), Podinfo, default);
        var events = await client.ListAsync(Kind("", "Event"), Podinfo.Namespace, default);
        var pods = await client.ListAsync(Kind("", "Pod"), null, default);
        throw new TimeoutException($"{what}: not within {seconds} s; canary {canary?.Status.ToJsonString()}\n"
            + string.Join('\n', pods.Items.Select(p => $"{p.Key} {p.Status["containerStatuses"]?.ToJsonString()}")) + "\n"
            + string.Join('\n', events.Items.Select(e => e.Json.Text("message"))));
    }

    Task PhaseAsync(string phase, int seconds) => UntilAsync(phase, seconds, async () =>
        (await client.GetAsync(Kind("flagger.app", "Canary"), Podinfo, default)) is { } c && c.Status.Text("phase") == phase ? c : null);

    async Task DeployAsync()
    {
        foreach (var document in YamlReader.Parse(await File.ReadAllTextAsync(Path.Combine(Root, "tests/Weir.EndToEnd.Tests/shop.yaml"))))
        {
            var resource = new Resource(document.AsObject());
            (await client.CreateAsync(KindCatalog.Default.FindKind(resource.ApiVersion, resource.Kind)!, resource, default)).OrThrow();
        }

        await PhaseAsync("Initialized", 60);
        await UntilAsync("routes programmed", 20, async () =>
            (await client.GetAsync(Kind("networking.istio.io", "VirtualService"), Podinfo, default))?.Status.Objects("conditions")
                .FirstOrDefault(c => c.Text("type") == "Programmed" && c.Text("status") == "True"));
        var (code, url) = await WeirAsync("gateway", "url");
        Assert.True(code == 0, url);
        outside = Task.Run(() => AskAsync(new Uri(url)));
    }

    /// <summary>The client outside: a new connection for every request, so that nothing is hidden by one that was kept.</summary>
    async Task AskAsync(Uri gateway)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(5) };
        while (!ending.IsCancellationRequested)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(gateway, "/version"));
            request.Headers.Host = "shop.example.com";
            try
            {
                using var response = await http.SendAsync(request);
                var body = JsonNode.Parse(await response.Content.ReadAsStringAsync());
                answers.Enqueue(response.IsSuccessStatusCode ? body.Text("version")! : $"status {(int)response.StatusCode}");
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException or System.Text.Json.JsonException)
            {
                answers.Enqueue(e.Message);
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    async Task ReleaseAsync(string version)
    {
        var containers = new JsonArray(new JsonObject { ["name"] = "podinfo", ["image"] = $"ghcr.io/stefanprodan/podinfo:{version}" });
        var patch = new JsonObject { ["spec"] = new JsonObject { ["template"] = new JsonObject { ["spec"] = new JsonObject { ["containers"] = containers } } } };
        (await client.PatchAsync(Kind("apps", "Deployment"), Podinfo, patch, default, PatchType.Strategic)).OrThrow();
    }

    async Task<List<string>> EventsAsync() =>
        [.. (await client.ListAsync(Kind("", "Event"), Podinfo.Namespace, default)).Items.Select(e => e.Json.Text("message") ?? "")];

    void AssertNoRequestFailed() =>
        Assert.Empty(answers.Where(a => !a.StartsWith("6.", StringComparison.Ordinal)).GroupBy(a => a).Select(g => $"{g.Count()} × {g.Key}"));

    [Fact]
    public async Task A_release_goes_on_over_the_death_of_the_control_plane_and_a_bad_one_is_rolled_back()
    {
        await DeployAsync();

        // A release, and in its middle kill -9 of the one process that decides on it.
        await ReleaseAsync("6.0.1");
        await UntilAsync("half-way", 60, async () =>
            (await client.GetAsync(Kind("flagger.app", "Canary"), Podinfo, default))!.Status.Number("canaryWeight") >= 40 ? "yes" : null);
        var pods = await PodPidsAsync();
        KillServer();
        await UpAsync();
        await PhaseAsync("Succeeded", 90);
        Assert.Equal("6.0.1", await PrimaryVersionAsync());
        Assert.True(pods.Count > 0);
        AssertNoRequestFailed();
        Assert.Contains("6.0.0", answers);
        Assert.Contains("6.0.1", answers);
        var told = await EventsAsync();
        foreach (var message in new[]
        {
            "New revision detected! Scaling up podinfo.shop", "Starting canary analysis for podinfo.shop", "Advance podinfo.shop canary weight 20",
            "Advance podinfo.shop canary weight 60", "Copying podinfo.shop template spec to podinfo-primary.shop",
            "Routing all traffic to primary", "Promotion completed! Scaling down podinfo.shop",
        })
        {
            Assert.Contains(message, told);
        }

        // A release whose answers are errors.
        await ReleaseAsync("6.0.2");
        await PhaseAsync("Progressing", 30);
        await AskCanaryForErrorsAsync();
        await PhaseAsync("Failed", 90);
        Assert.Equal("6.0.1", await PrimaryVersionAsync());
        told = await EventsAsync();
        Assert.Contains(told, m => m.StartsWith("Halt podinfo.shop advancement success rate ", StringComparison.Ordinal));
        Assert.Contains("Canary failed! Scaling down podinfo.shop", told);
        AssertNoRequestFailed();

        // And nothing is left when it goes down.
        pods = await PodPidsAsync();
        await ending.CancelAsync();
        await outside;
        Assert.Equal(0, (await WeirAsync("down")).Code);
        Assert.DoesNotContain(pods, p => File.Exists($"/proc/{p}/stat") && !File.ReadAllText($"/proc/{p}/stat").Contains(") Z ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Mistakes_get_answers_that_name_them()
    {
        var (twice, taken) = await WeirAsync("up", "--detach");
        Assert.NotEqual(0, twice);
        Assert.Contains($"the directory {data} is in use", taken, StringComparison.Ordinal);

        var file = Path.Combine(data, "mistake.yaml");
        foreach (var (yaml, expected) in new[]
        {
            ("a: [", "yaml: line "),
            ("apiVersion: example.com/v1\nkind: Foo\nmetadata: {name: a}", "no matches for kind \"Foo\" in version \"example.com/v1\""),
            ("apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: a}\nspec: {targetRef: {kind: Deployment, name: a}, service: {port: 80}}", "spec.analysis: Required value"),
            ("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [''], http: [{route: [{destination: {host: b}, weight: -1}]}]}", "spec.http[0].route[0].weight: Invalid value"),
        })
        {
            await File.WriteAllTextAsync(file, yaml);
            var (code, output) = await WeirAsync("apply", "-f", file);
            Assert.NotEqual(0, code);
            Assert.Contains(expected, output, StringComparison.Ordinal);
        }

        Assert.Empty((await client.ListAsync(Kind("flagger.app", "Canary"), null, default)).Items);
        var (got, table) = await WeirAsync("get", "ns");
        Assert.Equal(0, got);
        Assert.StartsWith("NAME", table, StringComparison.Ordinal);
        Assert.Contains("weir-system", table, StringComparison.Ordinal);
    }

    async Task<string?> PrimaryVersionAsync()
    {
        var primary = await client.GetAsync(Kind("apps", "Deployment"), new("shop", "podinfo-primary"), default);
        var image = primary!.Spec.Objects("template", "spec", "containers").First().Text("image")!;
        return image[(image.LastIndexOf(':') + 1)..];
    }

    async Task AskCanaryForErrorsAsync()
    {
        var pods = await client.ListAsync(Kind("", "Pod"), "shop", default, "app=loadtester");
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        using var content = new StringContent("""{"name":"podinfo","namespace":"shop","metadata":{"cmd":"hey -z 60s -q 20 -c 2 http://podinfo-canary.shop:9898/status/500"}}""");
        using var response = await http.PostAsync(new Uri($"http://{pods.Items.Single().Status.Text("podIP")}:8080/"), content);
        Assert.Equal(202, (int)response.StatusCode);
    }

    async Task<List<int>> PodPidsAsync() =>
    [
        .. (await client.ListAsync(Kind("", "Pod"), null, default)).Items.SelectMany(p => p.Status.Objects("containerStatuses"))
            .Select(s => s.Text("containerID")?.Replace("process://", "", StringComparison.Ordinal)).OfType<string>()
            .Select(id => int.Parse(id, CultureInfo.InvariantCulture)),
    ];

    void KillServer()
    {
        var holder = JsonNode.Parse(File.ReadAllText(Path.Combine(data, "holder.json")));
        using var process = Process.GetProcessById((int)holder.Number("pid")!);
        process.Kill();
        process.WaitForExit();
    }
}
