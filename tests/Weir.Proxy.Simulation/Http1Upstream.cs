using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>An endpoint that speaks HTTP/1.1 and answers as planned.</summary>
sealed class Http1Upstream(SimulationState state, SocketAddressV4 address, Reception reception, bool isBenign) : IRemoteHost, IActor
{
    readonly List<Http1UpstreamConnection> connections = [];

    public SocketAddressV4 Address => address;

    public Reception Reception { get; set; } = reception;

    public long NextDue => connections.Count == 0 ? long.MaxValue : connections.Min(c => c.NextDue);

    public void OnConnection(SimulatedSocket socket)
    {
        var tap = new RequestTap(state, socket.Peer!);
        socket.Peer!.Tap = tap;
        connections.Add(new Http1UpstreamConnection(state, socket, tap) { IsBenign = isBenign });
    }

    public bool Act()
    {
        var start = connections.Count == 0 ? 0 : state.Random.Below(connections.Count);
        for (var i = 0; i < connections.Count; i++)
        {
            var connection = connections[(start + i) % connections.Count];
            if (connection.Act())
            {
                if (connection.IsOver)
                {
                    connections.Remove(connection);
                }

                return true;
            }
        }

        return false;
    }
}
