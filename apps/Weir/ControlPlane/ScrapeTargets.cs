using Weir.Node.Injection;
using Weir.Resources;
using Weir.Telemetry.Scraping;

namespace Weir.App.ControlPlane;

/// <summary>The proxies of the mesh, as addresses to read metrics from.</summary>
static class ScrapeTargets
{
    public static IReadOnlyCollection<ScrapeTarget> Find(IEnumerable<Resource> pods) =>
    [
        .. from pod in pods
           let address = pod.Status.Text("podIP")
           let status = pod.Status.Objects("containerStatuses").FirstOrDefault(s => s.Text("name") == SidecarInjector.ContainerName)
           where address is not null && status?["state"]?["running"] is not null
           select new ScrapeTarget($"{pod.Uid}/{status.Text("restartCount")}", new Uri($"http://{address}:{SidecarInjector.StatusPort}/stats/prometheus")),
    ];
}
