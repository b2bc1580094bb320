using Weir.Proxy.Reactor;

namespace Weir.Proxy.LoadBalancing;

/// <summary>Chooses an endpoint of a cluster, for one loop.</summary>
sealed class Balancer(EventLoop loop, uint seed)
{
    /// <summary>Draws before an endpoint in slow start is taken after all, or one that has failed.</summary>
    const int MaximumDraws = 4;

    uint state = seed | 1;

    /// <param name="hash">Of the request's key, for the policies that keep keys together; null when it has none.</param>
    /// <param name="avoid">The endpoint that has just failed; chosen again only when there is no other.</param>
    /// <returns>Null when there is none.</returns>
    public Endpoint? Pick(Cluster cluster, EndpointSet? set, ulong? hash, Endpoint? avoid)
    {
        var endpoints = set?.Endpoints ?? [];
        if (endpoints.Length <= 1)
        {
            return endpoints.Length == 0 ? null : endpoints[0];
        }

        var picked = endpoints[0];
        for (var draw = 0; draw < MaximumDraws; draw++)
        {
            picked = PickOne(cluster, set!, endpoints, hash, draw);
            if (!ReferenceEquals(picked, avoid) && IsWarm(cluster, picked))
            {
                return picked;
            }
        }

        return ReferenceEquals(picked, avoid) ? endpoints[(Array.IndexOf(endpoints, picked) + 1) % endpoints.Length] : picked;
    }

    Endpoint PickOne(Cluster cluster, EndpointSet set, Endpoint[] endpoints, ulong? hash, int draw)
    {
        switch (cluster.Balancing.Policy)
        {
            case BalancingPolicy.RoundRobin:
                var turn = cluster.Loads[loop.Index].Turn++;
                return endpoints[set.Schedule is { } schedule ? schedule.At(turn) : (int)(turn % (uint)endpoints.Length)];
            case BalancingPolicy.RingHash:
                return endpoints[set.Ring!.Find(hash ?? NextHash(), draw)];
            case BalancingPolicy.Maglev:
                return endpoints[set.Maglev!.Find(hash ?? NextHash(), draw)];
            case BalancingPolicy.Random:
                return endpoints[set.At(Next(set.Total))];
            default:
                return LeastCost(cluster, set, endpoints);
        }
    }

    Endpoint LeastCost(Cluster cluster, EndpointSet set, Endpoint[] endpoints)
    {
        var first = set.At(Next(set.Total));
        var best = endpoints[first];
        var cost = Cost(cluster, best);
        for (var i = 1; i < cluster.Balancing.Choices; i++)
        {
            // Equal endpoints: two different ones, so that the busier is never compared with itself.
            var other = set.Total == endpoints.Length
                ? endpoints[(first + 1 + (int)Next((uint)endpoints.Length - 1)) % endpoints.Length] : endpoints[set.At(Next(set.Total))];
            var otherCost = Cost(cluster, other);
            if (otherCost < cost)
            {
                (best, cost) = (other, otherCost);
            }
        }

        return best;
    }

    double Cost(Cluster cluster, Endpoint endpoint)
    {
        var host = endpoint.State.ByLoop[loop.Index];
        var active = host?.ActiveRequests ?? 0;
        return cluster.Balancing.Policy == BalancingPolicy.PeakEwma
            ? (host?.Latency.Value(loop.Now, cluster.Balancing.DecayMilliseconds) ?? 0) * (active + 1)
            : cluster.Balancing.ActiveRequestBias == 1 ? active : Math.Pow(active + 1, cluster.Balancing.ActiveRequestBias);
    }

    /// <summary>
    /// False with the probability by which a new endpoint's share is still short of its full one (as Envoy's slow start: the part of
    /// the window that has passed, to the power of one over the aggression, but not less than the minimum).
    /// </summary>
    bool IsWarm(Cluster cluster, Endpoint endpoint)
    {
        var options = cluster.Balancing;
        var age = loop.Now - endpoint.State.AddedAt;
        if (options.SlowStartMilliseconds == 0 || age >= options.SlowStartMilliseconds)
        {
            return true;
        }

        var share = Math.Max(options.MinimumWeight, Math.Pow(Math.Max(age, 1) / (double)options.SlowStartMilliseconds, 1 / options.Aggression));
        return Next(10_000) < share * 10_000;
    }

    ulong NextHash() => ((ulong)Next(uint.MaxValue) << 32) | Next(uint.MaxValue);

    /// <summary>xorshift32: good enough to spread load, and nothing else is asked of it.</summary>
    public uint Next(uint limit)
    {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return (uint)(((ulong)state * limit) >> 32);
    }
}
