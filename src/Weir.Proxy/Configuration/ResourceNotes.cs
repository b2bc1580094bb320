using Weir.Proxy.Listeners;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>What was refused, or not carried out whole, of the resources: shown until they are sent again or removed.</summary>
/// <param name="remarks">What is known to be left out of a resource, by type and name.</param>
sealed class ResourceNotes(ProxyEngine engine, Refusals refusals, Func<string, string, IReadOnlyList<string>> remarks)
{
    readonly SortedDictionary<(string Type, string Name), ResourceNote> notes = [];

    public void Update(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed, Dictionary<string, string> refused)
    {
        var before = notes.Count;
        foreach (var name in changed.Select(c => c.Name).Concat(removed))
        {
            notes.Remove((type, name));
        }

        var isChanged = notes.Count != before;
        foreach (var resource in changed.Where(c => !refused.ContainsKey(c.Name)))
        {
            isChanged |= Remark(type, resource);
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

    public bool HasRefused(string type) => notes.Any(n => n.Key.Type == type && n.Value.IsRefused);

    bool Remark(string type, ReceivedResource resource)
    {
        var parts = new List<string>(remarks(type, resource.Name).Distinct());
        _ = refusals.Try($"{Kind(type)} {resource.Name}", () =>
        {
            var unknown = UnknownFields.In(type, resource.Value);
            if (unknown.Count > 0)
            {
                parts.Add($"fields this proxy does not know are not carried out: {string.Join(", ", unknown)}");
            }
        });
        if (parts.Count == 0)
        {
            return false;
        }

        var text = string.Join("; ", parts);
        engine.Log.Warning($"{Kind(type)} {resource.Name}: {text}");
        notes[(type, resource.Name)] = new ResourceNote(type, resource.Name, IsRefused: false, text);
        return true;
    }

    static string Kind(string type) => type[(type.LastIndexOf('.') + 1)..];
}
