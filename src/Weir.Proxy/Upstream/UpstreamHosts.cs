using Weir.Proxy.Reactor;

namespace Weir.Proxy.Upstream;

/// <summary>The hosts one loop talks to, by address. They outlive configurations, and with them their connections.</summary>
sealed class UpstreamHosts(EventLoop loop)
{
    /// <summary>Beyond this many, hosts without connections are forgotten.</summary>
    const int SweepThreshold = 1024;

    readonly Dictionary<SocketAddressV4, UpstreamHost> hosts = [];

    public UpstreamHost Of(SocketAddressV4 address)
    {
        if (!hosts.TryGetValue(address, out var host))
        {
            if (hosts.Count >= SweepThreshold)
            {
                Sweep();
            }

            hosts[address] = host = new UpstreamHost(loop, address);
        }

        return host;
    }

    void Sweep()
    {
        foreach (var (address, host) in hosts)
        {
            if (host.IsUnused)
            {
                // Removing while enumerating is allowed for the entry at hand.
                hosts.Remove(address);
            }
        }
    }
}

/// <summary>One address, its idle connections, and how much it has to do.</summary>
sealed class UpstreamHost(EventLoop loop, SocketAddressV4 address)
{
    const int MaximumIdle = 256;

    readonly Stack<UpstreamConnection> idle = [];

    public int ActiveRequests { get; set; }

    public bool IsUnused => ActiveRequests == 0 && idle.Count == 0;

    /// <summary>An idle connection that is still good, or null.</summary>
    public UpstreamConnection? TakeIdle()
    {
        while (idle.TryPop(out var connection))
        {
            if (connection.Take())
            {
                return connection;
            }
        }

        return null;
    }

    /// <summary>A new connection, not yet connected; null when the machine has no descriptor left.</summary>
    public UpstreamConnection? Create() =>
        AsyncSocket.Create(loop) is { } socket ? new UpstreamConnection(loop, socket, address) : null;

    public void Return(UpstreamConnection connection)
    {
        if (idle.Count < MaximumIdle && connection.MakeIdle())
        {
            idle.Push(connection);
        }
        else
        {
            connection.Close();
        }
    }
}
