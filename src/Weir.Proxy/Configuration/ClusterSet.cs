using Envoy.Config.Endpoint.V3;
using Weir.Proxy.Listeners;
using Weir.Xds;
using Weir.Xds.Client;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Configuration;

/// <summary>The clusters of a proxy, each in force as soon as its secrets have come.</summary>
sealed class ClusterSet(ProxyEngine engine, ClusterTranslator translator, HeldResources held)
{
    readonly Dictionary<string, Built> clusters = [];

    /// <summary>The clusters of each assignment: one whose endpoints change is found at once, however many there are.</summary>
    readonly Dictionary<string, HashSet<string>> byAssignment = [];

    /// <param name="Assignment">The name its endpoints come under; null when it brings its own.</param>
    /// <param name="Reading">Of the newest message.</param>
    /// <param name="IsWaiting">For a secret; requests meanwhile find what was there before.</param>
    /// <param name="InForce">Null while it has never been.</param>
    sealed record Built(string? Assignment, Reading Reading, bool IsWaiting, ReceivedResource? InForce, IReadOnlySet<string> SecretsInForce);

    public IEnumerable<string> Assignments => clusters.Values.Select(c => c.Assignment).OfType<string>();

    public IEnumerable<string> Secrets => clusters.Values.SelectMany(c => c.Reading.Secrets.Concat(c.SecretsInForce));

    public IEnumerable<ReceivedResource> InForce => clusters.Values.Select(c => c.InForce).OfType<ReceivedResource>();

    public IReadOnlyList<string> Remarks(string name) => clusters.TryGetValue(name, out var built) ? built.Reading.Remarks : [];

    public IReadOnlyList<string> Using(string type, string name) =>
        type == XdsTypes.Secret ? [.. clusters.Where(c => c.Value.Reading.Secrets.Contains(name)).Select(c => c.Key)]
        : byAssignment.TryGetValue(name, out var users) ? [.. users] : [];

    /// <summary>Whether routes to it may be used: it knows its endpoints and has its secrets, or is not known at all.</summary>
    public bool IsWarm(string name) => !clusters.TryGetValue(name, out var built)
        || (!built.IsWaiting && (built.Assignment is null || held.Find(XdsTypes.Endpoints, built.Assignment) is not null));

    public void Apply(ReceivedResource resource)
    {
        Build(resource);
        held.Set(XdsTypes.Cluster, resource);
    }

    /// <summary>Anew, because something that it uses has changed.</summary>
    public void Rebuild(string name) => Build(held.Find(XdsTypes.Cluster, name)!);

    void Build(ReceivedResource resource)
    {
        var message = XdsCluster.Parser.ParseFrom(resource.Value);
        if (Common.Name("a cluster's name", message.Name) != resource.Name)
        {
            throw new ConfigException($"cluster {resource.Name}: its message is named {message.Name}");
        }

        var assignment = message.Type == XdsCluster.Types.DiscoveryType.Eds
            ? message.EdsClusterConfig?.ServiceName is { Length: > 0 } service ? service : message.Name : null;
        var endpoints = assignment is not null && held.Find(XdsTypes.Endpoints, assignment) is { } known ? ClusterLoadAssignment.Parser.ParseFrom(known.Value) : null;
        var reading = new Reading();
        try
        {
            var before = engine.Clusters.Slot(message.Name).Current;
            var built = translator.Translate(message, endpoints, before, Environment.TickCount64, reading);
            Hold(message.Name, new Built(assignment, reading, false, resource, reading.Secrets));
            engine.Clusters.Set(message.Name, built);
            engine.Workers.RetireEndpoints(before, built);
        }
        catch (MissingSecretException)
        {
            var before = clusters.GetValueOrDefault(message.Name);
            Hold(message.Name, new Built(assignment, reading, true, before?.InForce, before?.SecretsInForce ?? new HashSet<string>()));
        }
    }

    void Hold(string name, Built built)
    {
        Release(name);
        clusters[name] = built;
        if (built.Assignment is not { } assignment)
        {
            return;
        }

        if (!byAssignment.TryGetValue(assignment, out var users))
        {
            byAssignment[assignment] = users = [];
        }

        users.Add(name);
    }

    void Release(string name)
    {
        if (clusters.Remove(name, out var built) && built.Assignment is { } assignment && byAssignment.TryGetValue(assignment, out var users)
            && users.Remove(name) && users.Count == 0)
        {
            byAssignment.Remove(assignment);
        }
    }

    public void Remove(string name)
    {
        held.Remove(XdsTypes.Cluster, name);
        Release(name);
        engine.Workers.RetireEndpoints(engine.Clusters.Slot(name).Current, null);
        engine.Clusters.Set(name, null);
    }
}
