using System.Collections.Frozen;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Route.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf;
using Weir.Proxy.Listeners;
using Weir.Proxy.Routing;
using Weir.Xds;
using Weir.Xds.Client;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Configuration;

/// <summary>
/// Collects what the control plane sends and puts it in force, each resource once all that it needs is there: routes when their
/// clusters know their endpoints, listeners when their routes and secrets have come. What cannot be used is refused by name, and what
/// was there before stays.
/// </summary>
public sealed class ConfigStore : IConfigSink
{
    static readonly IReadOnlyDictionary<string, string> Nothing = FrozenDictionary<string, string>.Empty;

    readonly ProxyEngine engine;
    readonly ClusterTranslator clusterTranslator;
    readonly RouteTranslator routeTranslator;
    readonly ListenerTranslator listenerTranslator;
    readonly Dictionary<string, Dictionary<string, ReceivedResource>> held = XdsTypes.PushOrder.ToDictionary(t => t, _ => new Dictionary<string, ReceivedResource>());
    readonly HashSet<string> received = [];
    readonly Dictionary<string, RouteSlot> routeSlots = [];
    readonly Dictionary<string, RouteTable> waitingRoutes = [];
    readonly Dictionary<string, BuiltListener> listeners = [];
    readonly Dictionary<string, BuiltCluster> clusters = [];
    readonly SortedDictionary<(string Type, string Name), ResourceNote> notes = [];

    /// <summary>A listener as it is in force; null while it waits for a secret that it never had.</summary>
    sealed record BuiltListener(ListenerConfiguration? Configuration, HashSet<string> Secrets);

    /// <param name="Assignment">The name its endpoints come under; null when it brings its own.</param>
    sealed record BuiltCluster(string? Assignment, HashSet<string> Secrets, bool WaitsForSecret);

    public ConfigStore(ProxyEngine engine, NodeIdentity self)
    {
        this.engine = engine;
        var translation = new Translation(engine.Stats, self, engine.LogFiles, engine.Clusters, engine.Concurrency)
        {
            FindSecret = name => held[XdsTypes.Secret].TryGetValue(name, out var secret) ? Secret.Parser.ParseFrom(secret.Value) : null,
        };
        clusterTranslator = new ClusterTranslator(translation);
        routeTranslator = new RouteTranslator(engine.Clusters);
        listenerTranslator = new ListenerTranslator(translation, RouteSlotOf);
    }

    /// <summary>Clusters and listeners have been accepted, and every listener has had what it needs to serve.</summary>
    public bool IsReady => received.Contains(XdsTypes.Cluster) && received.Contains(XdsTypes.Listener)
        && listeners.Values.All(l => l.Configuration is { } c && IsComplete(c));

    /// <summary>Called after every change, with the type that changed.</summary>
    public Action<string> OnApplied { get; set; } = _ => { };

    public IReadOnlyDictionary<string, string> Versions(string type)
    {
        lock (held)
        {
            return held[type].ToDictionary(r => r.Key, r => r.Value.Version);
        }
    }

    /// <summary>All that is held, in the order in which it must be applied.</summary>
    public IReadOnlyList<(string Type, ReceivedResource Resource)> Held
    {
        get
        {
            lock (held)
            {
                return [.. XdsTypes.PushOrder.SelectMany(t => held[t].Values.Select(r => (t, r)))];
            }
        }
    }

    public IReadOnlySet<string> References(string type) => type switch
    {
        XdsTypes.Endpoints => clusters.Values.Select(c => c.Assignment).OfType<string>().ToHashSet(),
        XdsTypes.Secret => clusters.Values.SelectMany(c => c.Secrets).Concat(listeners.Values.SelectMany(l => l.Secrets)).ToHashSet(),
        _ => listeners.Values.SelectMany(l => l.Configuration?.Chains.All ?? []).Select(c => c.Http?.Routes.Name ?? "").Where(n => n.Length > 0).ToHashSet(),
    };

    public IReadOnlyDictionary<string, string> Apply(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed)
    {
        lock (held)
        {
            var refused = type switch
            {
                XdsTypes.Cluster => Each(changed, ApplyCluster),
                XdsTypes.Endpoints => Each(changed, ApplyEndpoints),
                XdsTypes.Route => Each(changed, ApplyRoute),
                XdsTypes.Secret => Each(changed, ApplySecret),
                XdsTypes.Listener => ApplyListeners(changed, removed),
                _ => changed.ToDictionary(r => r.Name, r => $"{type} is not supported"),
            };
            Remove(type, removed);
            ActivateRoutes();
            if (type != XdsTypes.Endpoints)
            {
                PublishListeners(refused);
            }

            if (type is XdsTypes.Cluster or XdsTypes.Listener)
            {
                Forget(XdsTypes.Endpoints, XdsTypes.Secret, XdsTypes.Route);
            }

            Note(type, changed, removed, refused);
            received.Add(type);
            OnApplied(type);
            return refused.Count == 0 ? Nothing : refused;
        }
    }

    /// <summary>What was refused, or not carried out whole, is shown until the resource is sent again or removed.</summary>
    void Note(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed, Dictionary<string, string> refused)
    {
        var before = notes.Count;
        foreach (var name in changed.Select(c => c.Name).Concat(removed))
        {
            notes.Remove((type, name));
        }

        var isChanged = notes.Count != before;
        foreach (var resource in changed.Where(c => !refused.ContainsKey(c.Name)))
        {
            var unknown = UnknownFields.In(type, resource.Value);
            if (unknown.Count > 0)
            {
                var text = $"fields this proxy does not know are not carried out: {string.Join(", ", unknown)}";
                engine.Log.Warning($"{type[(type.LastIndexOf('.') + 1)..]} {resource.Name}: {text}");
                notes[(type, resource.Name)] = new ResourceNote(type, resource.Name, IsRefused: false, text);
                isChanged = true;
            }
        }

        foreach (var (name, reason) in refused)
        {
            // A listener may also fail when it is put in force, which another resource may have brought about.
            var owner = changed.Any(c => c.Name == name) ? type : XdsTypes.Listener;
            notes[(owner, name)] = new ResourceNote(owner, name, IsRefused: true, reason);
            isChanged = true;
        }

        if (isChanged)
        {
            engine.Notes = [.. notes.Values];
        }
    }

    static Dictionary<string, string> Each(IReadOnlyList<ReceivedResource> changed, Action<ReceivedResource> apply)
    {
        var refused = new Dictionary<string, string>();
        foreach (var resource in changed)
        {
            if (Try(() => apply(resource)) is { } reason)
            {
                refused[resource.Name] = reason;
            }
        }

        return refused;
    }

    /// <returns>Why it could not be done, or null.</returns>
    static string? Try(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (Exception e) when (e is ConfigException or InvalidProtocolBufferException or ArgumentException or FormatException)
        {
            return e.Message;
        }
    }

    void ApplyCluster(ReceivedResource resource)
    {
        BuildCluster(resource);
        held[XdsTypes.Cluster][resource.Name] = resource;
    }

    void BuildCluster(ReceivedResource resource)
    {
        var message = XdsCluster.Parser.ParseFrom(resource.Value);
        if (message.Name.Length == 0)
        {
            throw new ConfigException("a cluster has no name");
        }

        var slot = engine.Clusters.Slot(message.Name);
        var assignment = message.Type == XdsCluster.Types.DiscoveryType.Eds
            ? message.EdsClusterConfig?.ServiceName is { Length: > 0 } service ? service : message.Name : null;
        var endpoints = assignment is not null && held[XdsTypes.Endpoints].TryGetValue(assignment, out var known) ? ClusterLoadAssignment.Parser.ParseFrom(known.Value) : null;
        var secrets = new HashSet<string>();
        try
        {
            var before = slot.Current;
            var built = clusterTranslator.Translate(message, endpoints, before, Environment.TickCount64, secrets);
            clusters[message.Name] = new BuiltCluster(assignment, secrets, false);
            slot.Current = built;
            engine.RetireEndpoints(before, built);
        }
        catch (MissingSecretException)
        {
            // As it was until the secret comes; requests meanwhile find what was there before.
            clusters[message.Name] = new BuiltCluster(assignment, secrets, true);
        }
    }

    void ApplyEndpoints(ReceivedResource resource)
    {
        _ = ClusterLoadAssignment.Parser.ParseFrom(resource.Value);
        Replace(XdsTypes.Endpoints, resource, () =>
        {
            foreach (var (name, _) in clusters.Where(c => c.Value.Assignment == resource.Name).ToList())
            {
                BuildCluster(held[XdsTypes.Cluster][name]);
            }
        });
    }

    /// <summary>Holds the resource while what uses it is built anew; where that fails, the one before is held again.</summary>
    void Replace(string type, ReceivedResource resource, Action rebuild)
    {
        var before = held[type].GetValueOrDefault(resource.Name);
        held[type][resource.Name] = resource;
        if (Try(rebuild) is not { } reason)
        {
            return;
        }

        if (before is null)
        {
            held[type].Remove(resource.Name);
        }
        else
        {
            held[type][resource.Name] = before;
        }

        throw new ConfigException($"{(type == XdsTypes.Secret ? "secret" : "endpoints")} {resource.Name}: {reason}");
    }

    void ApplyRoute(ReceivedResource resource)
    {
        var table = routeTranslator.Translate(RouteConfiguration.Parser.ParseFrom(resource.Value));
        held[XdsTypes.Route][resource.Name] = resource;
        waitingRoutes[resource.Name] = table;
    }

    void ApplySecret(ReceivedResource resource)
    {
        Replace(XdsTypes.Secret, resource, () =>
        {
            _ = Secret.Parser.ParseFrom(resource.Value);
            foreach (var (name, _) in clusters.Where(c => c.Value.Secrets.Contains(resource.Name)).ToList())
            {
                BuildCluster(held[XdsTypes.Cluster][name]);
            }

            foreach (var (name, _) in listeners.Where(l => l.Value.Secrets.Contains(resource.Name)).ToList())
            {
                BuildListener(held[XdsTypes.Listener][name]);
            }
        });
    }

    Dictionary<string, string> ApplyListeners(IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed)
    {
        // Before those that take their addresses.
        foreach (var name in removed)
        {
            listeners.Remove(name);
            held[XdsTypes.Listener].Remove(name);
        }

        return Each(changed, resource =>
        {
            BuildListener(resource);
            held[XdsTypes.Listener][resource.Name] = resource;
        });
    }

    void BuildListener(ReceivedResource resource)
    {
        var secrets = new HashSet<string>();
        var message = Envoy.Config.Listener.V3.Listener.Parser.ParseFrom(resource.Value);
        try
        {
            listeners[resource.Name] = new BuiltListener(listenerTranslator.Translate(message, secrets), secrets);
        }
        catch (MissingSecretException)
        {
            listeners[resource.Name] = new BuiltListener(listeners.GetValueOrDefault(resource.Name)?.Configuration, secrets);
        }
    }

    RouteSlot RouteSlotOf(string name)
    {
        if (!routeSlots.TryGetValue(name, out var slot))
        {
            routeSlots[name] = slot = new RouteSlot(name);
        }

        return slot;
    }

    void Remove(string type, IReadOnlyList<string> removed)
    {
        foreach (var name in removed)
        {
            held[type].Remove(name);
            switch (type)
            {
                case XdsTypes.Cluster:
                    clusters.Remove(name);
                    engine.RetireEndpoints(engine.Clusters.Slot(name).Current, null);
                    engine.Clusters.Slot(name).Current = null;
                    break;
                case XdsTypes.Endpoints:
                    // There are none, which is an answer too: routes need not wait for it.
                    held[type][name] = new ReceivedResource(name, "", ByteString.Empty);
                    foreach (var (cluster, _) in clusters.Where(c => c.Value.Assignment == name).ToList())
                    {
                        _ = Try(() => BuildCluster(held[XdsTypes.Cluster][cluster]));
                    }

                    break;
                case XdsTypes.Route:
                    waitingRoutes.Remove(name);
                    if (routeSlots.TryGetValue(name, out var slot))
                    {
                        slot.Current = null;
                    }

                    break;
            }
        }
    }

    /// <summary>What nothing refers to any more is not kept.</summary>
    void Forget(params ReadOnlySpan<string> types)
    {
        foreach (var type in types)
        {
            var wanted = References(type);
            foreach (var name in held[type].Keys.Where(n => !wanted.Contains(n)).ToList())
            {
                held[type].Remove(name);
            }
        }

        var routes = References(XdsTypes.Route);
        foreach (var name in routeSlots.Keys.Where(n => !routes.Contains(n)).ToList())
        {
            routeSlots.Remove(name);
            waitingRoutes.Remove(name);
        }
    }

    /// <summary>
    /// Routes are used once the endpoints and secrets of all their clusters have come; until then those before them stay in force.
    /// A cluster that the control plane does not know at all does not hold them up.
    /// </summary>
    void ActivateRoutes()
    {
        foreach (var (name, table) in waitingRoutes.ToList())
        {
            if (table.Clusters.All(IsWarm))
            {
                RouteSlotOf(name).Current = table;
                waitingRoutes.Remove(name);
            }
        }
    }

    bool IsWarm(string cluster) => !clusters.TryGetValue(cluster, out var built)
        || (!built.WaitsForSecret && (built.Assignment is null || held[XdsTypes.Endpoints].ContainsKey(built.Assignment)));

    static bool IsComplete(ListenerConfiguration listener) => listener.Chains.All.All(c => c.Http is null || c.Http.Routes.Current is not null);

    /// <summary>A listener that cannot be put in force is refused and left as it was; the others go ahead.</summary>
    void PublishListeners(Dictionary<string, string> refused)
    {
        for (var attempt = 0; attempt <= listeners.Count + 1; attempt++)
        {
            var complete = listeners.Where(l => l.Value.Configuration is { } c && (IsComplete(c) || engine.Listeners.ContainsKey(l.Key)))
                .ToFrozenDictionary(l => l.Key, l => l.Value.Configuration!);
            if (SameAsBefore(complete) || engine.Publish(complete) is not { } error)
            {
                return;
            }

            refused[error.Listener] = error.Message;
            if (engine.Listeners.TryGetValue(error.Listener, out var before))
            {
                listeners[error.Listener] = listeners[error.Listener] with { Configuration = before };
            }
            else
            {
                listeners.Remove(error.Listener);
                held[XdsTypes.Listener].Remove(error.Listener);
            }
        }
    }

    bool SameAsBefore(FrozenDictionary<string, ListenerConfiguration> next)
    {
        var own = engine.OwnListeners;
        return engine.Listeners.Count == next.Count + own && next.All(l => engine.Listeners.TryGetValue(l.Key, out var before) && ReferenceEquals(before, l.Value));
    }
}
