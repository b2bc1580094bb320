using Envoy.Config.Cluster.V3;
using Weir.Xds.Client;

namespace Weir.Xds.Tests.Client;

/// <summary>Keeps what it is given; clusters of type EDS refer to endpoints of their name, listeners to a route of theirs.</summary>
sealed class FakeSink : Eventually, IConfigSink
{
    readonly Dictionary<string, Dictionary<string, string>> held = XdsTypes.PushOrder.ToDictionary(t => t, _ => new Dictionary<string, string>());
    readonly HashSet<string> references = [];

    /// <summary>Asked of each resource: a reason refuses it, an exception is one.</summary>
    public Func<ReceivedResource, string?> Check { get; set; } = _ => null;

    public Action OnReferences { get; set; } = () => { };

    public int Applied { get; private set; }

    /// <summary>As if from an earlier life.</summary>
    public void Hold(string type, string name, string version)
    {
        held[type][name] = version;
        references.Add(name);
    }

    public IReadOnlyDictionary<string, string> Apply(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed)
    {
        // As a real one, it has done half of the work when it fails.
        var refused = new Dictionary<string, string>();
        foreach (var resource in changed)
        {
            if (Check(resource) is { } reason)
            {
                refused[resource.Name] = reason;
                continue;
            }

            Change(() =>
            {
                held[type][resource.Name] = resource.Version;
                if (type == XdsTypes.Listener || (type == XdsTypes.Cluster && Cluster.Parser.ParseFrom(resource.Value).Type == Cluster.Types.DiscoveryType.Eds))
                {
                    references.Add(resource.Name);
                }
            });
        }

        Change(() =>
        {
            foreach (var name in removed)
            {
                held[type].Remove(name);
            }

            Applied++;
        });
        return refused;
    }

    public IReadOnlySet<string> References(string type)
    {
        OnReferences();
        lock (Gate)
        {
            return type switch
            {
                XdsTypes.Endpoints => held[XdsTypes.Cluster].Keys.Where(references.Contains).ToHashSet(),
                XdsTypes.Route => held[XdsTypes.Listener].Keys.ToHashSet(),
                _ => new HashSet<string>(),
            };
        }
    }

    public IReadOnlyDictionary<string, string> Versions(string type)
    {
        lock (Gate)
        {
            return new Dictionary<string, string>(held[type]);
        }
    }

    public IEnumerable<string> Names(string type) => Versions(type).Keys.Order(StringComparer.Ordinal);

    public Task HasAsync(string type, params string[] names) => UntilAsync(
        () => names.ToHashSet().SetEquals(held[type].Keys), () => $"held of {type}: {string.Join(", ", held[type].Keys)}");

    public Task IncludesAsync(string type, string name) => UntilAsync(() => held[type].ContainsKey(name), () => $"held of {type}: {string.Join(", ", held[type].Keys)}");
}
