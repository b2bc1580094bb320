using Weir.Proxy.Tls;

namespace Weir.Proxy.Configuration;

/// <summary>Contexts that are in use, by what they are made of: a thousand clusters with one identity share one.</summary>
sealed class TlsContexts
{
    readonly Dictionary<string, WeakReference<TlsContext>> known = [];

    public TlsContext Get(string key, Func<TlsContext> create)
    {
        if (known.TryGetValue(key, out var reference) && reference.TryGetTarget(out var context))
        {
            return context;
        }

        foreach (var (dead, _) in known.Where(k => !k.Value.TryGetTarget(out _)).ToList())
        {
            known.Remove(dead);
        }

        context = create();
        known[key] = new WeakReference<TlsContext>(context);
        return context;
    }
}
