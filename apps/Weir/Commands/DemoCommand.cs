using System.CommandLine;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using Weir.App.Cluster;
using Weir.App.ControlPlane;
using Weir.App.Demo;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Yaml;
using Weir.Telemetry.Scraping;
using Weir.Telemetry.Signals;

namespace Weir.App.Commands;

/// <summary><c>weir demo canary</c>: a release that succeeds and one that is rolled back, on a cluster made for it.</summary>
static class DemoCommand
{
    const string Namespace = "demo";
    static readonly TimeSpan Window = TimeSpan.FromSeconds(6);
    static readonly TimeSpan PhaseLimit = TimeSpan.FromSeconds(120);

    public static Command Create()
    {
        var keep = new Option<bool>("--keep") { Description = "Leave the cluster running, and say how to look around." };
        var canary = new Command("canary", "Release podinfo 6.0.1 progressively, then 6.0.2, which fails its checks and is rolled back. Takes about a minute; leaves nothing behind.\n\nExample: weir demo canary --keep") { keep };
        canary.SetAction((parsed, cancel) => new Run(TimeProvider.System).RunAsync(parsed.GetValue(keep), cancel));
        return new Command("demo", "See what Weir does.") { canary };
    }

    sealed class Run(TimeProvider time)
    {
        readonly KindCatalog catalog = KindCatalog.Default;
        readonly DemoScreen screen = new(time);
        readonly SignalStore signals = new(time);
        readonly HashSet<string> told = [];
        KubeClient client = null!;
        UserTraffic? users;
        IReadOnlyList<Resource> pods = [];

        public async Task<int> RunAsync(bool keep, CancellationToken cancelled)
        {
            var began = time.GetTimestamp();

            // Ctrl-C leaves nothing behind either.
            using var interrupted = CancellationTokenSource.CreateLinkedTokenSource(cancelled);
            using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt);
            using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt);
            void Interrupt(PosixSignalContext context)
            {
                context.Cancel = true;
                interrupted.Cancel();
            }

            var cancel = interrupted.Token;
            var data = new DataDirectory(Directory.CreateTempSubdirectory("weir-demo-").FullName);
            var isDone = false;
            try
            {
                await UpCommand.DetachAsync(data, 0, cancel);
                (client, _) = Shared.Connect(data.Kubeconfig, data.Path);
                using var scraping = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                using var http = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false });
                var scraper = new Scraper(() => ScrapeTargets.Find(pods), signals, http, time, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance)
                    .RunAsync(scraping.Token);
                await screen.RunAsync(() => ReleaseAsync(cancel));
                await scraping.CancelAsync();
                await scraper;
                isDone = Summarize(time.GetElapsedTime(began));
            }
            finally
            {
                if (users is not null)
                {
                    await users.DisposeAsync();
                }

                if (!keep || !isDone)
                {
                    await DownCommand.StopAsync(data, time);
                    Directory.Delete(data.Path, recursive: true);
                }
            }

            if (keep && isDone)
            {
                Console.WriteLine($"""

                    The cluster is still running. Look around:
                      export KUBECONFIG={data.Kubeconfig}
                      kubectl -n {Namespace} get canary,deploy,pods
                      kubectl -n {Namespace} describe canary podinfo
                      kubectl -n {Namespace} set image deployment/podinfo podinfo=ghcr.io/stefanprodan/podinfo:6.0.3
                      curl -H 'Host: app.example.com' $(weir gateway url --data {data.Path})/version
                    Stop it with: weir down --data {data.Path}
                    """);
            }

            return isDone ? 0 : 1;
        }

        async Task ReleaseAsync(CancellationToken cancel)
        {
            using var stream = typeof(DemoCommand).Assembly.GetManifestResourceStream("Weir.App.Demo.manifests.yaml")!;
            foreach (var document in YamlReader.Parse(await new StreamReader(stream).ReadToEndAsync(cancel)))
            {
                var resource = new Resource(document.AsObject());
                (await client.CreateAsync(catalog.FindKind(resource.ApiVersion, resource.Kind)!, resource, cancel)).OrThrow();
            }

            await UntilAsync("Initialized", cancel);
            await UntilProgrammedAsync(cancel);
            var gateway = (await GatewayCommand.FindAsync(client, cancel))[0];
            users = new UserTraffic(new Uri(gateway), "app.example.com", time);
            users.Start();

            screen.Event("── releasing 6.0.1");
            await SetImageAsync("6.0.1", cancel);
            await UntilAsync("Progressing", cancel);
            await UntilAsync("Succeeded", cancel);

            screen.Event("── releasing 6.0.2, which will answer with errors");
            await SetImageAsync("6.0.2", cancel);
            await UntilAsync("Progressing", cancel);
            await BreakCanaryAsync(cancel);
            await UntilAsync("Failed", cancel);
        }

        async Task SetImageAsync(string version, CancellationToken cancel)
        {
            var changed = await client.ChangeAsync(catalog.Get("apps", "Deployment"), new ObjectKey(Namespace, "podinfo"), deployment =>
            {
                deployment.Spec.Objects("template", "spec", "containers").First()["image"] = $"ghcr.io/stefanprodan/podinfo:{version}";
                return true;
            }, cancel);
            if (changed is null)
            {
                throw new CommandException("the demo's deployment has been deleted");
            }
        }

        /// <summary>Has the load tester ask the canary, and only it, for errors.</summary>
        async Task BreakCanaryAsync(CancellationToken cancel)
        {
            var tester = pods.First(p => p.Labels.GetValueOrDefault("app") == "loadtester");
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
            using var response = await http.PostAsJsonAsync(new Uri($"http://{tester.Status.Text("podIP")}:8080/"), new
            {
                name = "podinfo",
                @namespace = Namespace,
                metadata = new { cmd = "hey -z 40s -q 20 -c 2 http://podinfo-canary.demo:9898/status/500" },
            }, cancel);
            response.EnsureSuccessStatusCode();
        }

        /// <summary>The users come once the gateway knows the way.</summary>
        async Task UntilProgrammedAsync(CancellationToken cancel)
        {
            var began = time.GetTimestamp();
            while (await client.GetAsync(catalog.Get("networking.istio.io", "VirtualService"), new ObjectKey(Namespace, "podinfo"), cancel) is not { } route
                || !route.Status.Objects("conditions").Any(c => c.Text("type") == "Programmed" && c.Text("status") == "True" && c.Number("observedGeneration") == route.Generation))
            {
                if (time.GetElapsedTime(began) > PhaseLimit)
                {
                    throw new CommandException("the routes did not reach the gateway");
                }

                await Task.Delay(TimeSpan.FromMilliseconds(50), time, cancel);
            }
        }

        async Task UntilAsync(string phase, CancellationToken cancel)
        {
            var began = time.GetTimestamp();
            while (true)
            {
                var canary = await RefreshAsync(cancel);
                if (canary.Status.Text("phase") == phase)
                {
                    return;
                }

                if (time.GetElapsedTime(began) > PhaseLimit)
                {
                    throw new CommandException($"the release did not come to {phase} within {PhaseLimit.TotalSeconds:0} s; it is {canary.Status.Text("phase")}");
                }

                await Task.Delay(TimeSpan.FromMilliseconds(250), time, cancel);
            }
        }

        async Task<Resource> RefreshAsync(CancellationToken cancel)
        {
            var key = new ObjectKey(Namespace, "podinfo");
            var canary = await client.GetAsync(catalog.Get("flagger.app", "Canary"), key, cancel) ?? throw new CommandException("the canary is gone");
            pods = (await client.ListAsync(catalog.Get("", "Pod"), null, cancel)).Items;
            var happened = await client.ListAsync(catalog.Get("", "Event"), Namespace, cancel, fieldSelector: "involvedObject.kind=Canary");
            foreach (var e in happened.Items.OrderBy(e => long.Parse(e.ResourceVersion)).Where(e => told.Add($"{e.Name}/{e.Json.Text("count")}")))
            {
                screen.Event(e.Json.Text("message") ?? "");
            }

            var weight = (int)(canary.Status.Number("canaryWeight") ?? 0);
            screen.Show(canary.Status.Text("phase") ?? "", Row("primary", "podinfo-primary", 100 - weight), Row("canary", "podinfo", weight),
                users?.Served ?? 0, users?.Failures.Count ?? 0);
            return canary;
        }

        VersionRow Row(string name, string workload, int weight)
        {
            static double? Known(Signal signal) => signal.State == SignalState.Value ? signal.Value : null;
            var image = pods.Where(p => p.Namespace == Namespace && p.Labels.GetValueOrDefault("app") == workload)
                .OrderByDescending(p => p.Created).Select(p => p.Spec.Objects("containers").First().Text("image")).FirstOrDefault();
            return new VersionRow(
                name, image is null ? "-" : image[(image.LastIndexOf(':') + 1)..], weight,
                Known(signals.Rate(Namespace, workload, Window)), Known(signals.SuccessRate(Namespace, workload, Window)),
                Known(signals.Duration(Namespace, workload, 0.99, Window)));
        }

        bool Summarize(TimeSpan took)
        {
            var failed = users!.Failures.Count;
            Console.WriteLine();
            Console.WriteLine("6.0.1 was released, 6.0.2 was rolled back.");
            Console.WriteLine($"{users.Served} requests of users served, {failed} failed; {took.TotalSeconds:0} s in all.");
            foreach (var group in users.Failures.GroupBy(f => f))
            {
                Console.WriteLine($"  {group.Count()} × {group.Key}");
            }

            return failed == 0;
        }
    }
}
