using Envoy.Config.AccessLog.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Listener.V3;
using Envoy.Config.Route.V3;
using Envoy.Extensions.AccessLoggers.File.V3;
using Envoy.Extensions.Filters.Http.Router.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Weir.Xds;

namespace Weir.ProxyConfig.Listeners;

/// <summary>Listeners with an HTTP connection manager.</summary>
static class HttpListeners
{
    /// <summary>With routes that come by RDS.</summary>
    public static XdsResource Routed(
        string name, string address, int port, string routes, TrafficDirection direction, IEnumerable<(string Address, int Port)>? additional = null)
    {
        var manager = Manager(name);
        manager.Rds = new Rds { ConfigSource = ConfigSources.Ads, RouteConfigName = routes };
        return Build(name, address, port, manager, direction, additional ?? []);
    }

    /// <summary>With routes of its own.</summary>
    public static XdsResource Inline(string name, string address, int port, RouteConfiguration routes, TrafficDirection direction)
    {
        var manager = Manager(name);
        manager.RouteConfig = routes;
        return Build(name, address, port, manager, direction, []);
    }

    static HttpConnectionManager Manager(string name)
    {
        // As Istio by default: paths are brought into one form before they are matched, and WebSockets pass.
        var manager = new HttpConnectionManager { StatPrefix = name, NormalizePath = true };
        manager.UpgradeConfigs.Add(new HttpConnectionManager.Types.UpgradeConfig { UpgradeType = "websocket" });
        manager.HttpFilters.Add(new HttpFilter { Name = "envoy.filters.http.router", TypedConfig = ConfigSources.Pack(XdsTypes.Router, new Router()) });
        manager.AccessLog.Add(new AccessLog
        {
            Name = "envoy.access_loggers.file",
            TypedConfig = ConfigSources.Pack(XdsTypes.FileAccessLog, new FileAccessLog { Path = "/dev/stdout" }),
        });
        return manager;
    }

    static XdsResource Build(
        string name, string address, int port, HttpConnectionManager manager, TrafficDirection direction, IEnumerable<(string Address, int Port)> additional)
    {
        var listener = new Listener { Name = name, Address = ConfigSources.Socket(address, port), TrafficDirection = direction };
        listener.AdditionalAddresses.Add(additional.Select(a => new AdditionalAddress { Address = ConfigSources.Socket(a.Address, a.Port) }));
        var chain = new FilterChain();
        chain.Filters.Add(new Filter
        {
            Name = "envoy.filters.network.http_connection_manager",
            TypedConfig = ConfigSources.Pack(XdsTypes.HttpConnectionManager, manager),
        });
        listener.FilterChains.Add(chain);
        return new XdsResource(name, listener);
    }
}
