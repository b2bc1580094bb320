using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Admin;

/// <summary>Where the proxy's own pages are served.</summary>
public sealed record AdminOptions
{
    /// <summary>Of readiness and metrics; null for nowhere.</summary>
    public SocketAddressV4? StatusAddress { get; init; }

    /// <summary>Of the administration pages; null for nowhere.</summary>
    public SocketAddressV4? AdminAddress { get; init; }
}

/// <summary>The listeners of the proxy's own pages, which no configuration makes or takes away.</summary>
public static class AdminListeners
{
    /// <summary>Called before the engine starts.</summary>
    public static void Add(ProxyEngine engine, AdminOptions options)
    {
        Add(engine, "status", options.StatusAddress, Pages.Status);
        Add(engine, "admin", options.AdminAddress, Pages.Admin);
    }

    static void Add(ProxyEngine engine, string name, SocketAddressV4? address, Pages pages)
    {
        if (address is { } given)
        {
            engine.AddOwn(name, given, new PagesFilter(engine, pages));
        }
    }
}
