using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;

namespace Weir.Proxy.Upstream;

/// <summary>Connections that are there already, for an attempt that would rather use one than make one.</summary>
static class KeptConnections
{
    /// <summary>A connection that names its client to the upstream is that client's alone, and made anew.</summary>
    public static ClientStream? TryTake(in AttemptTarget target, UpstreamHost from) => target.Cluster.ProxyProtocolVersion > 0 ? null : from.IsHttp2(target) switch
    {
        true => from.Http2(target.Cluster).TryOpen(target.Cluster),
        false => from.Http1.TryTake(target.Cluster),
        null => from.Http2(target.Cluster).TryOpen(target.Cluster) ?? (ClientStream?)from.Http1.TryTake(target.Cluster),
    };

    /// <summary>To whatever endpoint of the subset: an idle one is better than to wait for one to the endpoint that was chosen.</summary>
    public static ClientStream? TryTakeAny(in AttemptTarget target, int loop, out Endpoint? at, out UpstreamHost? from)
    {
        foreach (var other in target.IsRaw ? [] : target.Cluster.Select(target.Subset)!.Endpoints)
        {
            if (other.State.ByLoop[loop] is UpstreamHost candidate && TryTake(target, candidate) is { } stream)
            {
                (at, from) = (other, candidate);
                return stream;
            }
        }

        (at, from) = (null, null);
        return null;
    }

    /// <summary>Closes an idle one, which cannot be used, so that another may be opened.</summary>
    public static bool TryMakeRoom(Cluster cluster, int loop)
    {
        foreach (var other in cluster.All.Endpoints)
        {
            if (other.State.ByLoop[loop] is UpstreamHost candidate && candidate.TryCloseOneIdle())
            {
                return cluster.Loads[loop].Connections < cluster.Limits.MaximumConnections;
            }
        }

        return false;
    }
}
