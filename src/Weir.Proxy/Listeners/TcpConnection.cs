using Weir.Proxy.Configuration;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Listeners;

/// <summary>Bytes both ways between a client and an endpoint of one cluster; the end of each direction is passed on.</summary>
sealed class TcpConnection(Worker worker, AsyncSocket client, ListenerConfiguration listener) : IConnection
{
    AsyncSocket? upstream;

    public void Start() => _ = RunAsync();

    public void Drain()
    {
        // A TCP session has no point at which it could be ended without harm; the drain limit ends it.
    }

    async Task RunAsync()
    {
        try
        {
            if (worker.Engine.Configuration.Clusters.TryGetValue(listener.ClusterName, out var cluster)
                && worker.Balancer.Pick(cluster, null) is { } endpoint)
            {
                upstream = AsyncSocket.Create(worker.Loop);
                if (upstream is not null && await upstream.ConnectAsync(endpoint.Address, cluster.ConnectTimeoutMilliseconds) == 0)
                {
                    var up = PumpAsync(client, upstream);
                    await PumpAsync(upstream, client);
                    await up;
                }
            }
        }
        finally
        {
            upstream?.Close();
            client.Close();
            worker.Remove(this);
        }
    }

    async Task PumpAsync(AsyncSocket from, AsyncSocket to)
    {
        while (true)
        {
            var ready = await from.WaitReadableAsync(listener.StreamIdleMilliseconds);
            if (ready < 0)
            {
                // Idle for too long, or broken: both directions end.
                from.Close();
                to.Close();
                return;
            }

            var buffer = worker.Loop.Buffers.Rent();
            try
            {
                var read = await from.ReadAsync(buffer, listener.StreamIdleMilliseconds);
                if (read == 0)
                {
                    to.ShutdownWrite();
                    return;
                }

                if (read < 0 || await to.WriteAsync(buffer.AsMemory(0, read), listener.StreamIdleMilliseconds) < 0)
                {
                    from.Close();
                    to.Close();
                    return;
                }
            }
            finally
            {
                worker.Loop.Buffers.Return(buffer);
            }
        }
    }
}
