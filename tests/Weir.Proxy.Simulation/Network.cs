using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>What an address does with somebody who connects to it.</summary>
enum Reception
{
    Accepts,
    Refuses,
    IsSilent,
}

/// <summary>A place that the proxy connects to.</summary>
interface IRemoteHost
{
    Reception Reception { get; }

    /// <param name="socket">The host's end.</param>
    void OnConnection(SimulatedSocket socket);
}

/// <summary>A listening socket of the proxy.</summary>
sealed class SimulatedListener(SocketAddressV4 address)
{
    public SocketAddressV4 Address => address;

    public Queue<SimulatedSocket> Backlog { get; } = new();

    public ulong? Key { get; set; }

    public bool IsClosed { get; set; }
}

/// <summary>All connections there are. Nothing that is sent arrives before <see cref="Deliver"/> brings it.</summary>
sealed class Network(SimulationRandom random)
{
    readonly List<SimulatedSocket> sockets = [];
    readonly List<(SimulatedSocket Socket, IRemoteHost? Host)> connecting = [];
    int nextPort = 30_000;

    public Dictionary<SocketAddressV4, IRemoteHost> Hosts { get; } = [];

    /// <summary>Of the proxy's sockets, those of which something is to be told.</summary>
    public List<SimulatedSocket> Ready { get; } = [];

    public int SmallestBuffer { get; set; } = 64;

    public void Signal(SimulatedSocket socket)
    {
        if (!socket.IsReady && socket.Key is not null)
        {
            socket.IsReady = true;
            Ready.Add(socket);
        }
    }

    public void OnClosed(SimulatedSocket socket)
    {
        if (socket.IsReady)
        {
            socket.IsReady = false;
            Ready.Remove(socket);
        }

        connecting.RemoveAll(c => ReferenceEquals(c.Socket, socket));
        Drop(socket);
        if (socket.Peer is { } peer)
        {
            Drop(peer);
        }
    }

    /// <summary>It is out of reach when both ends are closed and nothing is under way.</summary>
    void Drop(SimulatedSocket socket)
    {
        if (socket.IsClosed && (socket.Peer is null || (socket.Peer.IsClosed && !socket.HasInFlight)))
        {
            sockets.Remove(socket);
        }
    }

    int Capacity() => random.Pick(SmallestBuffer, SmallestBuffer * 4, 4096, 64 * 1024);

    public SocketAddressV4 EphemeralAddress(uint host) => new(host, (ushort)nextPort++);

    public SimulatedSocket NewSocket() => new(this, EphemeralAddress(0x7f000001), default, Capacity()) { IsUnconnected = true };

    /// <summary>A client connects to the proxy.</summary>
    /// <returns>The client's end; null when nobody listens.</returns>
    public SimulatedSocket? ConnectTo(SimulatedListener listener, uint from = 0x0a000001)
    {
        if (listener.IsClosed)
        {
            return null;
        }

        var address = EphemeralAddress(from);
        var client = new SimulatedSocket(this, address, listener.Address, Capacity());
        var server = new SimulatedSocket(this, listener.Address, address, Capacity());
        Pair(client, server);
        listener.Backlog.Enqueue(server);
        return client;
    }

    void Pair(SimulatedSocket one, SimulatedSocket other)
    {
        (one.Peer, other.Peer) = (other, one);
        sockets.Add(one);
        sockets.Add(other);
    }

    /// <summary>The proxy connects to a host.</summary>
    public int Connect(SimulatedSocket socket, SocketAddressV4 address)
    {
        var host = Hosts.GetValueOrDefault(address);
        socket.IsUnconnected = false;
        socket.Remote = address;
        if (host is null or { Reception: Reception.Refuses } && random.Chance(50))
        {
            socket.IsUnconnected = true;
            return -111;
        }

        socket.IsConnecting = true;
        if (host is { Reception: Reception.Accepts } && random.Chance(10))
        {
            Establish(socket, host);
            return 0;
        }

        connecting.Add((socket, host));
        return -Native.Einprogress;
    }

    void Establish(SimulatedSocket socket, IRemoteHost host)
    {
        var other = new SimulatedSocket(this, socket.Remote, socket.Local, Capacity());
        Pair(socket, other);
        socket.OnConnected(0);
        host.OnConnection(other);
    }

    /// <summary>Brings something of what is under way.</summary>
    /// <returns>False when nothing is.</returns>
    public bool Deliver()
    {
        if (connecting.Count > 0 && random.Chance(30) && TryEstablish())
        {
            return true;
        }

        var start = sockets.Count == 0 ? 0 : random.Below(sockets.Count);
        for (var i = 0; i < sockets.Count; i++)
        {
            var socket = sockets[(start + i) % sockets.Count];
            if (socket.HasInFlight)
            {
                socket.Deliver(random);
                Drop(socket);
                return true;
            }
        }

        return TryEstablish();
    }

    bool TryEstablish()
    {
        for (var i = 0; i < connecting.Count; i++)
        {
            var (socket, host) = connecting[i];
            if (host is not { Reception: Reception.IsSilent })
            {
                connecting.RemoveAt(i);
                if (host is { Reception: Reception.Accepts })
                {
                    Establish(socket, host);
                }
                else
                {
                    socket.OnConnected(111);
                }

                return true;
            }
        }

        return false;
    }
}
