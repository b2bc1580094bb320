using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Upstream;

/// <summary>What one loop reaches upstreams with.</summary>
sealed class Upstreams(EventLoop loop, uint seed)
{
    public EventLoop Loop => loop;

    public Balancer Balancer { get; } = new(loop, seed);

    /// <summary>Those with upstreams: a flood of clients does not hold them up. Connections are bounded by the clusters, and so are these.</summary>
    public HandshakeQueue Handshakes { get; } = new(loop, new HandshakeLimits(int.MaxValue, int.MaxValue));

    public UpstreamHost HostOf(Endpoint endpoint, Cluster cluster) =>
        (UpstreamHost)(endpoint.State.ByLoop[loop.Index] ??= new UpstreamHost(Handshakes, endpoint.Address, cluster.Loads[loop.Index]));
}
