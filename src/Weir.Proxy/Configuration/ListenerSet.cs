using System.Collections.Frozen;
using Weir.Proxy.Listeners;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>The listeners of a proxy. Each is put in force once its routes and secrets have come; until then the one before it serves.</summary>
sealed class ListenerSet(ProxyEngine engine, ListenerTranslator translator, HeldResources held)
{
    readonly Dictionary<string, Built> newest = [];
    readonly Dictionary<string, Built> inForce = [];

    /// <summary>Those that were refused because somebody else has their address: it may become free.</summary>
    readonly Dictionary<string, ReceivedResource> busy = [];

    /// <param name="Configuration">Null while it waits for a secret.</param>
    sealed record Built(ListenerConfiguration? Configuration, ReceivedResource Resource, Reading Reading)
    {
        public bool IsComplete => Configuration is { } known && known.Chains.All.All(c => c.Http is null || c.Http.Routes.Current is not null);

        public IEnumerable<string> Routes => (Configuration?.Chains.All ?? []).Select(c => c.Http?.Routes.Name ?? "").Where(n => n.Length > 0);
    }

    /// <summary>All have had what they need to serve.</summary>
    public bool IsComplete => newest.All(l => l.Value.IsComplete || (l.Value.Configuration is null && inForce.ContainsKey(l.Key)));

    public IEnumerable<ReceivedResource> InForce => inForce.Values.Select(b => b.Resource);

    public IEnumerable<string> Secrets => newest.Values.Concat(inForce.Values).SelectMany(b => b.Reading.Secrets);

    public IEnumerable<string> Routes => newest.Values.Concat(inForce.Values).SelectMany(b => b.Routes);

    public IReadOnlyList<string> Remarks(string name) => newest.TryGetValue(name, out var built) ? built.Reading.Remarks : [];

    public IReadOnlyList<string> Using(string secret) => [.. newest.Where(l => l.Value.Reading.Secrets.Contains(secret)).Select(l => l.Key)];

    /// <summary>There are some whose address was taken when they came.</summary>
    public bool HasBusy => busy.Count > 0;

    public void Apply(ReceivedResource resource)
    {
        ForgetRefusal(resource.Name);
        Build(resource);
        held.Set(XdsTypes.Listener, resource);
    }

    /// <summary>Anew, because a secret that it uses has changed.</summary>
    public void Rebuild(string name) => Build(held.Find(XdsTypes.Listener, name)!);

    void Build(ReceivedResource resource)
    {
        var message = Envoy.Config.Listener.V3.Listener.Parser.ParseFrom(resource.Value);
        if (message.Name != resource.Name)
        {
            throw new ConfigException($"listener {resource.Name}: its message is named {message.Name}");
        }

        if (engine.Listeners.TryGetValue(resource.Name, out var taken) && taken.IsStatus)
        {
            throw new ConfigException($"listener {resource.Name}: the proxy has one of its own of this name");
        }

        var reading = new Reading();
        try
        {
            newest[resource.Name] = new Built(translator.Translate(message, reading), resource, reading);
        }
        catch (MissingSecretException)
        {
            newest[resource.Name] = new Built(null, resource, reading);
        }
    }

    public void Remove(string name)
    {
        held.Remove(XdsTypes.Listener, name);
        newest.Remove(name);
        ForgetRefusal(name);
    }

    void ForgetRefusal(string name)
    {
        busy.Remove(name);
        engine.Forget(name);
    }

    /// <summary>Takes those out whose address was taken, to be applied again.</summary>
    public IReadOnlyList<ReceivedResource> TakeBusy()
    {
        IReadOnlyList<ReceivedResource> taken = [.. busy.Values];
        busy.Clear();
        return taken;
    }

    /// <summary>A listener that cannot be put in force is refused and left as it was; the others go ahead.</summary>
    /// <param name="refused">Is added to.</param>
    public void Publish(Dictionary<string, string> refused)
    {
        for (var attempt = 0; attempt <= newest.Count + 1; attempt++)
        {
            var next = new Dictionary<string, Built>();
            foreach (var (name, built) in newest)
            {
                if ((built.IsComplete ? built : inForce.GetValueOrDefault(name)) is { } usable)
                {
                    next[name] = usable;
                }
            }

            if (IsSame(next) || engine.Publish(next.ToFrozenDictionary(l => l.Key, l => l.Value.Configuration!)) is not { } error)
            {
                inForce.Clear();
                foreach (var (name, built) in next)
                {
                    inForce[name] = built;
                }

                return;
            }

            refused[error.Listener] = error.Message;
            if (error.MayPass)
            {
                busy[error.Listener] = newest[error.Listener].Resource;
            }

            GoBack(error.Listener);
        }
    }

    /// <summary>What was refused is not held either: it is neither reported as taken nor kept for a start without control plane.</summary>
    void GoBack(string name)
    {
        var before = inForce.GetValueOrDefault(name);
        held.Restore(XdsTypes.Listener, name, before?.Resource);
        if (before is null)
        {
            newest.Remove(name);
        }
        else
        {
            newest[name] = before;
        }
    }

    bool IsSame(Dictionary<string, Built> next) => engine.Listeners.Count == next.Count + engine.OwnListeners
        && next.All(l => engine.Listeners.TryGetValue(l.Key, out var before) && ReferenceEquals(before, l.Value.Configuration));
}
