using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Garbage;

/// <summary>Removes events an hour after they last happened, as Kubernetes does; otherwise they would fill the store.</summary>
public sealed class EventExpiry : Controller
{
    static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    readonly KubeClient client;
    readonly Informer events;

    public EventExpiry(KubeClient client, Informers informers, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        events = Watch(informers.For("", "Event"));
    }

    protected override int Workers => 1;

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        if (events.Get(key) is not { } e)
        {
            return null;
        }

        var left = (e.Json.Time("lastTimestamp") ?? e.Json.Time("eventTime") ?? e.Created) + Lifetime - Time.GetUtcNow();
        if (left > TimeSpan.Zero)
        {
            return left;
        }

        await client.DeleteAsync(events.Kind, key, cancel, e.Uid);
        return null;
    }
}
