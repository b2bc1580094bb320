using Weir.Proxy.Upstream;

namespace Weir.Proxy.LoadBalancing;

/// <summary>Chooses an endpoint of a cluster, for one loop.</summary>
sealed class Balancer(UpstreamHosts hosts, uint seed)
{
    uint state = seed | 1;

    /// <param name="avoid">The endpoint that has just failed; chosen again only when there is no other.</param>
    /// <returns>Null when the cluster has none.</returns>
    public Endpoint? Pick(Cluster cluster, Endpoint? avoid)
    {
        var endpoints = cluster.Endpoints;
        if (endpoints.Length == 0)
        {
            return null;
        }

        var picked = PickOne(cluster, endpoints);
        if (ReferenceEquals(picked, avoid) && endpoints.Length > 1)
        {
            picked = endpoints[(Array.IndexOf(endpoints, picked) + 1) % endpoints.Length];
        }

        return picked;
    }

    Endpoint PickOne(Cluster cluster, Endpoint[] endpoints)
    {
        if (endpoints.Length == 1)
        {
            return endpoints[0];
        }

        if (cluster.Policy == BalancingPolicy.RoundRobin)
        {
            return endpoints[cluster.NextTurn() % (uint)endpoints.Length];
        }

        var first = Next((uint)endpoints.Length);
        if (cluster.Policy == BalancingPolicy.Random)
        {
            return endpoints[first];
        }

        // Two different ones, so that the busier is never compared with itself.
        var second = (first + 1 + Next((uint)endpoints.Length - 1)) % (uint)endpoints.Length;
        return hosts.Of(endpoints[first].Address).ActiveRequests <= hosts.Of(endpoints[second].Address).ActiveRequests
            ? endpoints[first] : endpoints[second];
    }

    /// <summary>xorshift32: good enough to spread load, and nothing else is asked of it.</summary>
    uint Next(uint limit)
    {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return (uint)(((ulong)state * limit) >> 32);
    }
}
