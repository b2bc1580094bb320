using Envoy.Config.Core.V3;
using Envoy.Config.Listener.V3;
using Envoy.Extensions.Filters.Network.TcpProxy.V3;
using Weir.Xds;

namespace Weir.ProxyConfig.Listeners;

/// <summary>Listeners that pass bytes on.</summary>
static class TcpListeners
{
    public static XdsResource Build(string name, string address, int port, string cluster, TrafficDirection direction)
    {
        var listener = new Listener { Name = name, Address = ConfigSources.Socket(address, port), TrafficDirection = direction };
        var chain = new FilterChain();
        chain.Filters.Add(new Filter
        {
            Name = "envoy.filters.network.tcp_proxy",
            TypedConfig = ConfigSources.Pack(XdsTypes.TcpProxy, new TcpProxy { StatPrefix = name, Cluster = cluster }),
        });
        listener.FilterChains.Add(chain);
        return new XdsResource(name, listener);
    }
}
