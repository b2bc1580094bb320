using Envoy.Config.Route.V3;
using Weir.Proxy.Routing;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>
/// The route tables of a proxy. A table is used once the endpoints and secrets of all its clusters have come; until then the one before
/// it stays in force. A cluster that the control plane does not know at all does not hold it up.
/// </summary>
sealed class RouteSet(RouteTranslator translator, HeldResources held)
{
    readonly Dictionary<string, RouteSlot> slots = [];
    readonly Dictionary<string, Built> waiting = [];
    readonly Dictionary<string, ReceivedResource> inForce = [];
    readonly Dictionary<string, IReadOnlyList<string>> remarks = [];

    sealed record Built(RouteTable Table, ReceivedResource Resource);

    public IEnumerable<ReceivedResource> InForce => inForce.Values;

    public IReadOnlyList<string> Remarks(string name) => remarks.GetValueOrDefault(name, []);

    public RouteSlot SlotOf(string name)
    {
        if (!slots.TryGetValue(name, out var slot))
        {
            slots[name] = slot = new RouteSlot(name);
        }

        return slot;
    }

    public void Apply(ReceivedResource resource)
    {
        var reading = new Reading();
        var table = translator.Translate(RouteConfiguration.Parser.ParseFrom(resource.Value), reading);
        held.Set(XdsTypes.Route, resource);
        waiting[resource.Name] = new Built(table, resource);
        remarks[resource.Name] = reading.Remarks;
    }

    /// <returns>Whether a table has come into force.</returns>
    public bool Activate(Func<string, bool> isWarm)
    {
        var ready = waiting.Where(w => w.Value.Table.Clusters.All(isWarm)).ToList();
        foreach (var (name, built) in ready)
        {
            SlotOf(name).Current = built.Table;
            inForce[name] = built.Resource;
            waiting.Remove(name);
        }

        return ready.Count > 0;
    }

    public void Remove(string name)
    {
        held.Remove(XdsTypes.Route, name);
        waiting.Remove(name);
        inForce.Remove(name);
        remarks.Remove(name);
        if (slots.TryGetValue(name, out var slot))
        {
            slot.Current = null;
        }
    }

    /// <summary>What no listener refers to any more is not kept.</summary>
    public void KeepOnly(IReadOnlySet<string> wanted)
    {
        foreach (var name in slots.Keys.Concat(waiting.Keys).Concat(inForce.Keys).Where(n => !wanted.Contains(n)).ToList())
        {
            slots.Remove(name);
            waiting.Remove(name);
            inForce.Remove(name);
            remarks.Remove(name);
        }
    }
}
