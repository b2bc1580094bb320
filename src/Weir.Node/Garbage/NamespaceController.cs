using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Garbage;

/// <summary>Gives every namespace its default service account, and empties the ones that are being deleted.</summary>
public sealed class NamespaceController : Controller
{
    static readonly TimeSpan Again = TimeSpan.FromMilliseconds(500);

    readonly KubeClient client;
    readonly KindCatalog catalog;
    readonly Informer namespaces;

    public NamespaceController(KubeClient client, KindCatalog catalog, Informers informers, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        this.catalog = catalog;
        namespaces = Watch(informers.For("", "Namespace"));
    }

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        var ns = await client.GetAsync(namespaces.Kind, key, cancel);
        if (ns is null)
        {
            return null;
        }

        if (!ns.IsDeleting)
        {
            var accounts = catalog.Get("", "ServiceAccount");
            if (await client.GetAsync(accounts, new ObjectKey(ns.Name, "default"), cancel) is null)
            {
                await client.CreateAsync(accounts, Resource.New("v1", "ServiceAccount", ns.Name, "default"), cancel);
            }

            return null;
        }

        var left = 0;
        foreach (var kind in catalog.All.Where(k => k.IsNamespaced && k.Group != "events.k8s.io"))
        {
            foreach (var item in (await client.ListAsync(kind, ns.Name, cancel)).Items)
            {
                left++;
                if (!item.IsDeleting)
                {
                    await client.DeleteAsync(kind, item.Key, cancel, item.Uid);
                }
            }
        }

        if (left > 0)
        {
            return Again;
        }

        var finalized = ns.Copy();
        finalized.Json["spec"] = new JsonObject { ["finalizers"] = new JsonArray() };
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/api/v1/namespaces/{ns.Name}/finalize");
        request.Content = new ByteArrayContent(finalized.ToBytes());
        request.Content.Headers.ContentType = new("application/json");
        using var response = await client.Http.SendAsync(request, cancel);
        return response.IsSuccessStatusCode ? null : Again;
    }
}
