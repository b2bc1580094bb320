using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>What the control plane sent and the proxy accepted, by type and name; some of it may still wait for something else.</summary>
sealed class HeldResources
{
    readonly Dictionary<string, Dictionary<string, ReceivedResource>> byType = XdsTypes.PushOrder.ToDictionary(t => t, _ => new Dictionary<string, ReceivedResource>());

    public static bool IsKnown(string type) => XdsTypes.PushOrder.Contains(type);

    public IReadOnlyCollection<ReceivedResource> All(string type) => byType[type].Values;

    public ReceivedResource? Find(string type, string name) => byType[type].GetValueOrDefault(name);

    public void Set(string type, ReceivedResource resource) => byType[type][resource.Name] = resource;

    public void Remove(string type, string name) => byType[type].Remove(name);

    /// <param name="resource">Null for none.</param>
    public void Restore(string type, string name, ReceivedResource? resource)
    {
        if (resource is null)
        {
            Remove(type, name);
        }
        else
        {
            Set(type, resource);
        }
    }
}
