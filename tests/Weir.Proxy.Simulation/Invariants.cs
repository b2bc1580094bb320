using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>What holds at every moment between two turns, and what holds when everything is over.</summary>
sealed class Invariants(SimulationState state, World world, Worker worker, Settings settings, CheckedBufferPool buffers)
{
    public void Check()
    {
        state.Watch.CheckTimes();
        CheckPools();
        foreach (var load in world.Loads)
        {
            if (load.Connections < 0 || load.Requests < 0 || load.Connections > settings.MaximumUpstreamConnections)
            {
                throw new InvariantException($"a cluster counts {load.Connections} connections and {load.Requests} requests");
            }
        }

        var open = state.Kernel.Sockets.Count(s => s.Tap is RequestTap || s.IsConnecting);
        var counted = world.Loads.Sum(l => l.Connections);
        if (counted < open)
        {
            throw new InvariantException($"the clusters count {counted} connections and have {open}");
        }
    }

    /// <summary>An idle connection is at a message boundary, both ways.</summary>
    void CheckPools()
    {
        foreach (var host in world.UpstreamHosts)
        {
            for (var idle = host.Http1.FirstIdle; idle is not null; idle = idle.NextIdle)
            {
                var socket = state.Kernel.SocketOf(idle.Socket.Descriptor);
                if (socket.Tap is not RequestTap tap)
                {
                    continue;
                }

                if (!tap.IsAtBoundary)
                {
                    throw new InvariantException($"connection {socket.Descriptor} is kept in the middle of request {tap.Requests[^1].Plan.Id}");
                }

                if (tap.Requests.Count > 0 && (socket.BytesRead != tap.AnswersEnd || tap.Requests[^1].End is null))
                {
                    throw new InvariantException($"connection {socket.Descriptor} is kept with {socket.BytesRead} bytes read, its last answer ends at {tap.AnswersEnd}");
                }
            }
        }
    }

    /// <summary>
    /// Nothing can happen before some time has passed: then nobody waits for a connection that is there to be had, and what waits has a
    /// deadline.
    /// </summary>
    public void CheckStandstill()
    {
        if (world.Load.Waiting.Count > 0
            && (world.Load.Connections < settings.MaximumUpstreamConnections || world.CurrentHosts.Any(h => h.Http1.FirstIdle is not null)))
        {
            throw new InvariantException($"{world.Load.Waiting.Count} requests wait for a connection, though there are {world.Load.Connections} of {settings.MaximumUpstreamConnections}");
        }

        if (IsUnfinished && worker.Loop.Timers.NextDue == long.MaxValue)
        {
            throw new InvariantException("something waits that has no deadline");
        }
    }

    /// <summary>There is something left that only a deadline can end.</summary>
    bool IsUnfinished => worker.Connections.Count > 0 || world.Loads.Any(l => l.Connections > 0 || l.Requests > 0) || state.Watch.Count > 0;

    public void CheckEnd()
    {
        Expect(worker.Connections.Count, "connections of clients");
        Expect(state.Watch.Count, "exchanges");
        Expect(world.Loads.Sum(l => l.Connections), "connections to upstreams in the clusters' counts");
        Expect(world.Loads.Sum(l => l.Requests), "requests in the clusters' counts");
        Expect(world.Loads.Sum(l => l.Pending), "requests that wait for a connection or a stream");
        Expect(world.UpstreamHosts.Sum(h => h.ActiveRequests), "requests in the endpoints' counts");
        Expect(buffers.Outstanding, "buffers", buffers.Holders);
        Expect(state.Kernel.OpenDescriptors, "descriptors");
        Expect(worker.Loop.Watched, "watched descriptors");
        Expect(worker.Loop.Timers.NextDue == long.MaxValue ? 0 : 1, "timers");
    }

    static void Expect(int left, string what, string details = "")
    {
        if (left != 0)
        {
            throw new LeakException($"at the end there are {left} {what} left\n{details}");
        }
    }
}
