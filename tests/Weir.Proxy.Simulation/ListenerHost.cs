using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>A listener of the proxy as a place that the proxy itself connects to.</summary>
sealed class ListenerHost(SocketAddressV4 address) : IRemoteHost
{
    public SimulatedListener Listener { get; } = new(address);

    public Reception Reception => Listener.IsClosed ? Reception.Refuses : Reception.Accepts;

    public void OnConnection(SimulatedSocket socket) => Listener.Backlog.Enqueue(socket);
}
