using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>What epoll finds at a socket when it is asked.</summary>
static class Readiness
{
    public static SocketEvents Of(SimulatedSocket socket)
    {
        if (socket.IsConnecting)
        {
            return SocketEvents.None;
        }

        var isHungUp = socket.IsUnconnected || socket.IsReset || socket.HasError || (socket.IsEndVisible && socket.IsShut);
        var events = isHungUp ? SocketEvents.Readable | SocketEvents.Writable | SocketEvents.PeerDone | SocketEvents.Broken : SocketEvents.None;
        if (socket.Visible > 0 || socket.IsEndVisible)
        {
            events |= SocketEvents.Readable;
        }

        if (socket.IsEndVisible)
        {
            events |= SocketEvents.PeerDone;
        }

        if (socket.IsRoomy)
        {
            events |= SocketEvents.Writable;
        }
        else if (!isHungUp)
        {
            // Whoever asks and finds no room is told when there is some.
            socket.WantsSpace = true;
        }

        return events;
    }
}
