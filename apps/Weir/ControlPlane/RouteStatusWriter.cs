using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Dialects;
using Weir.Dialects.Istio;
using Weir.Mesh;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.App.ControlPlane;

/// <summary>
/// Says on every routing resource what became of it: whether it was accepted and what of it is not done, whether what it refers to
/// exists, and whether the proxies have acknowledged it.
/// </summary>
sealed class RouteStatusWriter(KubeClient client, IReadOnlyList<Informer> informers, TimeProvider time, ILogger log)
{
    readonly Channel<bool> wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    readonly Dictionary<string, (long Generation, long Revision)> seen = [];
    readonly Lock gate = new();
    volatile MeshSnapshot mesh = MeshSnapshot.Empty;
    long acknowledged;

    public void Observe(MeshSnapshot snapshot)
    {
        lock (gate)
        {
            var current = informers.SelectMany(i => i.All).ToList();
            foreach (var gone in seen.Keys.Except(current.Select(r => r.Uid)).ToList())
            {
                seen.Remove(gone);
            }

            foreach (var resource in current)
            {
                // The revision in which this generation first took part: once it is acknowledged, so is the generation.
                if (!seen.TryGetValue(resource.Uid, out var known) || known.Generation != resource.Generation)
                {
                    seen[resource.Uid] = (resource.Generation, snapshot.Revision);
                }
            }
        }

        mesh = snapshot;
        wake.Writer.TryWrite(true);
    }

    public void Acknowledged(long revision)
    {
        Volatile.Write(ref acknowledged, revision);
        wake.Writer.TryWrite(true);
    }

    public async Task RunAsync(CancellationToken cancel)
    {
        try
        {
            while (await wake.Reader.WaitToReadAsync(cancel))
            {
                wake.Reader.TryRead(out _);
                foreach (var informer in informers)
                {
                    foreach (var resource in informer.All)
                    {
                        await WriteAsync(informer.Kind, resource, cancel);
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The program is ending.
        }
    }

    async Task WriteAsync(ResourceKind kind, Resource resource, CancellationToken cancel)
    {
        var wanted = Conditions(resource).ToList();
        if (IsWritten(resource, wanted))
        {
            return;
        }

        try
        {
            await client.ChangeAsync(kind, resource.Key, fresh =>
            {
                if (fresh.Generation != resource.Generation || IsWritten(fresh, wanted))
                {
                    return false;
                }

                fresh.Json["status"] = new JsonObject { ["conditions"] = new JsonArray([.. wanted.Select(w => w.ToJson(fresh, time))]) };
                return true;
            }, cancel, isStatus: true);
        }
        catch (KubeApiException e)
        {
            log.LogWarning("status of {Resource}: {Error}", resource, e.Message);
        }
    }

    sealed record Wanted(string Type, bool Value, string Reason, string Message)
    {
        public JsonObject ToJson(Resource resource, TimeProvider time)
        {
            var before = resource.Status.Objects("conditions").FirstOrDefault(c => c.Text("type") == Type);
            var value = Value ? "True" : "False";
            return new JsonObject
            {
                ["type"] = Type,
                ["status"] = value,
                ["reason"] = Reason,
                ["message"] = Message,
                ["observedGeneration"] = resource.Generation,
                ["lastTransitionTime"] = before.Text("status") == value ? before.Text("lastTransitionTime") : time.GetUtcNow().ToTimestamp(),
            };
        }
    }

    static bool IsWritten(Resource resource, List<Wanted> wanted) => wanted.TrueForAll(w =>
        resource.Status.Objects("conditions").FirstOrDefault(c => c.Text("type") == w.Type) is { } c
        && c.Text("status") == (w.Value ? "True" : "False") && c.Text("message") == w.Message && c.Number("observedGeneration") == resource.Generation);

    IEnumerable<Wanted> Conditions(Resource resource)
    {
        var verdicts = IstioSupport.Check(resource);
        var refused = verdicts.Where(v => v.Kind == VerdictKind.Refused).ToList();
        yield return new Wanted("Accepted", true, refused.Count > 0 ? "PartiallySupported" : "Accepted", string.Join("; ", verdicts));
        var missing = MissingReferences(resource).Distinct().ToList();
        yield return new Wanted("ResolvedRefs", missing.Count == 0, missing.Count == 0 ? "ResolvedRefs" : "BackendNotFound", string.Join("; ", missing));
        bool isProgrammed;
        lock (gate)
        {
            isProgrammed = seen.TryGetValue(resource.Uid, out var known) && known.Generation == resource.Generation && known.Revision <= Volatile.Read(ref acknowledged);
        }

        yield return new Wanted("Programmed", isProgrammed, isProgrammed ? "Programmed" : "Pending",
            isProgrammed ? "all connected proxies have acknowledged it" : "waiting for proxies to acknowledge it");
    }

    IEnumerable<string> MissingReferences(Resource resource)
    {
        var snapshot = mesh;
        if (resource.Kind == "DestinationRule" && resource.Spec.Text("host") is { } host && !host.StartsWith('*')
            && !snapshot.Services.ContainsKey(MeshSnapshot.FullHost(host, resource.Namespace)))
        {
            yield return $"spec.host: service {host} does not exist";
        }

        foreach (var (http, i) in resource.Spec.Objects("http").Select((h, i) => (h, i)))
        {
            foreach (var (route, j) in http.Objects("route").Select((r, j) => (r, j)))
            {
                var full = MeshSnapshot.FullHost(route.Text("destination", "host") ?? "", resource.Namespace);
                if (!snapshot.Services.ContainsKey(full))
                {
                    yield return $"spec.http[{i}].route[{j}].destination.host: service {route.Text("destination", "host")} does not exist";
                }
                else if (route.Text("destination", "subset") is { Length: > 0 } subset && snapshot.Policies.GetValueOrDefault(full)?.Subsets.ContainsKey(subset) != true)
                {
                    yield return $"spec.http[{i}].route[{j}].destination.subset: no DestinationRule defines subset {subset} of {route.Text("destination", "host")}";
                }
            }
        }

        if (resource.Kind == "VirtualService")
        {
            foreach (var gateway in IstioReader.ReadVirtualService(resource).Gateways.Where(g => g != Mesh.Routes.VirtualRoute.Mesh && snapshot.Gateways.All(m => m.Name != g)))
            {
                yield return $"spec.gateways: gateway {gateway} does not exist";
            }
        }
    }
}
