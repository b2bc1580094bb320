using System.Collections.Frozen;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Proxy.Listeners;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>
/// Takes what the control plane sends and puts it in force, each resource once all that it needs is there: routes when their clusters
/// know their endpoints, listeners when their routes and secrets have come. What cannot be used is refused by name, and what was there
/// before stays.
/// </summary>
public sealed class ConfigStore : IConfigSink
{
    static readonly IReadOnlyDictionary<string, string> Nothing = FrozenDictionary<string, string>.Empty;

    readonly Lock gate = new();
    readonly HeldResources held = new();
    readonly HashSet<string> received = [];
    readonly Refusals refusals;
    readonly ClusterSet clusters;
    readonly RouteSet routes;
    readonly ListenerSet listeners;
    readonly Dependencies dependencies;
    readonly ResourceNotes notes;
    readonly SemaphoreSlim becameBusy = new(0);
    volatile bool isReady;
    volatile bool hasBusyListeners;

    public ConfigStore(ProxyEngine engine, NodeIdentity self)
    {
        var translation = new Translation(engine.Stats, self, engine.LogFiles, engine.Clusters, engine.Concurrency)
        {
            FindSecret = name => held.Find(XdsTypes.Secret, name) is { } secret ? Secret.Parser.ParseFrom(secret.Value) : null,
        };
        refusals = new Refusals(engine.Log);
        clusters = new ClusterSet(engine, new ClusterTranslator(translation), held);
        routes = new RouteSet(new RouteTranslator(engine.Clusters), held);
        listeners = new ListenerSet(engine, new ListenerTranslator(translation, routes.SlotOf), held);
        dependencies = new Dependencies(held, clusters, listeners, refusals);
        notes = new ResourceNotes(engine, refusals, (type, name) => type switch
        {
            XdsTypes.Cluster => clusters.Remarks(name),
            XdsTypes.Endpoints => [.. clusters.Using(type, name).SelectMany(clusters.Remarks)],
            XdsTypes.Route => routes.Remarks(name),
            XdsTypes.Listener => listeners.Remarks(name),
            _ => [],
        });
    }

    /// <summary>Clusters and listeners have been accepted, and every listener has had what it needs to serve. Asked by any thread.</summary>
    public bool IsReady => isReady;

    /// <summary>Called after every change, with the type that changed.</summary>
    public Action<string> OnApplied { get; set; } = _ => { };

    /// <summary>Called when what had been refused of a type is in force by now, all of it.</summary>
    public Action<string> OnRecovered { get; set; } = _ => { };

    /// <summary>Some listener was refused because its address was taken. Asked by any thread.</summary>
    public bool HasBusyListeners => hasBusyListeners;

    /// <summary>Until there is such a listener.</summary>
    public Task BusyListenerAsync(CancellationToken cancel) => becameBusy.WaitAsync(cancel);

    /// <summary>What serves at this moment, in the order in which it must be applied: neither what waits nor what was refused.</summary>
    public IReadOnlyList<(string Type, ReceivedResource Resource)> InForce
    {
        get
        {
            lock (gate)
            {
                return [.. XdsTypes.PushOrder.SelectMany(type => (type switch
                {
                    XdsTypes.Cluster => clusters.InForce,
                    XdsTypes.Route => routes.InForce,
                    XdsTypes.Listener => listeners.InForce,
                    _ => held.All(type),
                }).Select(r => (type, r)))];
            }
        }
    }

    public IReadOnlyDictionary<string, string> Versions(string type)
    {
        lock (gate)
        {
            return HeldResources.IsKnown(type) ? held.All(type).ToDictionary(r => r.Name, r => r.Version) : Nothing;
        }
    }

    public IReadOnlySet<string> References(string type)
    {
        lock (gate)
        {
            return References_NeedsLock(type);
        }
    }

    HashSet<string> References_NeedsLock(string type) => type switch
    {
        XdsTypes.Endpoints => [.. clusters.Assignments],
        XdsTypes.Secret => [.. clusters.Secrets, .. listeners.Secrets],
        XdsTypes.Route => [.. listeners.Routes],
        _ => [],
    };

    public IReadOnlyDictionary<string, string> Apply(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed)
    {
        lock (gate)
        {
            var refused = Apply_NeedsLock(type, changed, removed);
            OnApplied(type);
            return refused.Count == 0 ? Nothing : refused;
        }
    }

    /// <summary>Tries the listeners again whose address was taken.</summary>
    public void RetryBusyListeners()
    {
        lock (gate)
        {
            var tried = listeners.TakeBusy();
            var refused = Apply_NeedsLock(XdsTypes.Listener, tried, []);
            if (refused.Count == tried.Count)
            {
                return;
            }

            OnApplied(XdsTypes.Listener);
            if (!notes.HasRefused(XdsTypes.Listener))
            {
                OnRecovered(XdsTypes.Listener);
            }
        }
    }

    void SayWhetherReady()
    {
        isReady = received.Contains(XdsTypes.Cluster) && received.Contains(XdsTypes.Listener) && listeners.IsComplete;
        hasBusyListeners = listeners.HasBusy;
        if (hasBusyListeners && becameBusy.CurrentCount == 0)
        {
            becameBusy.Release();
        }
    }

    Dictionary<string, string> Apply_NeedsLock(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed)
    {
        if (!HeldResources.IsKnown(type))
        {
            return changed.Select(c => c.Name).Distinct().ToDictionary(n => n, _ => $"{type} is not supported");
        }

        if (type == XdsTypes.Listener)
        {
            // Before those that take their addresses.
            Remove(type, removed);
        }

        var refused = type switch
        {
            XdsTypes.Cluster => refusals.Each("cluster", changed, clusters.Apply),
            XdsTypes.Endpoints => refusals.Each("endpoints", changed, dependencies.ApplyEndpoints),
            XdsTypes.Route => refusals.Each("route", changed, routes.Apply),
            XdsTypes.Secret => refusals.Each("secret", changed, dependencies.ApplySecret),
            _ => refusals.Each("listener", changed, listeners.Apply),
        };
        Remove(type, removed);
        _ = refusals.Try("putting in force", () => PutInForce(type, refused));
        _ = refusals.Try("reporting", () => notes.Update(type, changed, removed, refused));
        received.Add(type);
        SayWhetherReady();
        return refused;
    }

    void PutInForce(string type, Dictionary<string, string> refused)
    {
        var hasNewRoutes = routes.Activate(clusters.IsWarm);
        if (hasNewRoutes || type != XdsTypes.Endpoints)
        {
            listeners.Publish(refused);
        }

        if (type is XdsTypes.Cluster or XdsTypes.Listener)
        {
            Forget();
        }
    }

    /// <summary>What nothing refers to any more is not kept.</summary>
    void Forget()
    {
        foreach (var type in (ReadOnlySpan<string>)[XdsTypes.Endpoints, XdsTypes.Secret, XdsTypes.Route])
        {
            var wanted = References_NeedsLock(type);
            foreach (var name in held.All(type).Select(r => r.Name).Where(n => !wanted.Contains(n)).ToList())
            {
                held.Remove(type, name);
            }
        }

        routes.KeepOnly(References_NeedsLock(XdsTypes.Route));
    }

    void Remove(string type, IReadOnlyList<string> removed)
    {
        foreach (var name in removed)
        {
            _ = refusals.Try($"removing {name}", () => Remove(type, name));
        }
    }

    void Remove(string type, string name)
    {
        switch (type)
        {
            case XdsTypes.Cluster:
                clusters.Remove(name);
                break;
            case XdsTypes.Route:
                routes.Remove(name);
                break;
            case XdsTypes.Listener:
                listeners.Remove(name);
                break;
            case XdsTypes.Endpoints:
                dependencies.RemoveEndpoints(name);
                break;
            default:
                held.Remove(type, name);
                break;
        }
    }
}
