using System.Collections.Concurrent;

namespace Weir.Samples.Loadtester;

/// <summary>Gates by kind and canary, closed until they are opened.</summary>
sealed class Gates
{
    readonly ConcurrentDictionary<(string Kind, string Key), bool> open = [];

    public bool IsOpen(string kind, string key) => open.GetValueOrDefault((kind, key));

    public void Set(string kind, string key, bool isOpen) => open[(kind, key)] = isOpen;
}
