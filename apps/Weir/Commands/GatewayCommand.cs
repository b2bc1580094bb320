using System.CommandLine;
using Weir.App.Cluster;
using Weir.App.ControlPlane;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.Commands;

/// <summary><c>weir gateway url</c>: where requests enter the mesh.</summary>
static class GatewayCommand
{
    static readonly TimeSpan WaitLimit = TimeSpan.FromSeconds(15);

    public static Command Create()
    {
        var data = Shared.Data();
        var kubeconfig = Shared.Kubeconfig();
        var url = new Command("url", "Print the URL of the ingress gateway.\n\nExample: curl -H 'Host: app.example.com' $(weir gateway url)/") { data, kubeconfig };
        url.SetAction(async (parsed, cancel) =>
        {
            var (client, _) = Shared.Connect(parsed.GetValue(kubeconfig), parsed.GetValue(data)!);
            var time = TimeProvider.System;
            var began = time.GetTimestamp();
            while (true)
            {
                // A Gateway that was applied a moment ago has its proxy a moment later.
                var urls = await FindAsync(client, cancel);
                if (urls.Count > 0 && (await AreReadyAsync(client, cancel) || time.GetElapsedTime(began) > WaitLimit))
                {
                    Console.WriteLine(urls[0]);
                    return 0;
                }

                var gateways = await client.ListAsync(KindCatalog.Default.Get("networking.istio.io", "Gateway"), null, cancel);
                if (gateways.Items.Count == 0 || time.GetElapsedTime(began) > WaitLimit)
                {
                    throw new CommandException("there is no gateway: apply a networking.istio.io Gateway first");
                }

                await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancel);
            }
        });
        return new Command("gateway", "The ingress gateway.") { url };
    }

    static async Task<bool> AreReadyAsync(KubeClient client, CancellationToken cancel)
    {
        var services = await client.ListAsync(KindCatalog.Default.Get("", "Service"), Bootstrap.SystemNamespace, cancel, GatewayProvisioner.Label + "=true");
        var deployments = await client.ListAsync(KindCatalog.Default.Get("apps", "Deployment"), Bootstrap.SystemNamespace, cancel);
        return services.Items.All(s => deployments.Items.FirstOrDefault(d => d.Name == s.Name)?.Status.Number("availableReplicas") > 0);
    }

    /// <summary>Of every gateway, the port 80 first.</summary>
    public static async Task<IReadOnlyList<string>> FindAsync(KubeClient client, CancellationToken cancel)
    {
        var services = await client.ListAsync(KindCatalog.Default.Get("", "Service"), Bootstrap.SystemNamespace, cancel, GatewayProvisioner.Label + "=true");
        return
        [
            .. services.Items.SelectMany(s => s.Spec.Objects("ports")).Where(p => p.Number("nodePort") > 0)
                .OrderBy(p => p.Number("port") != 80).Select(p => $"http://127.0.0.1:{p.Number("nodePort")}"),
        ];
    }
}
