namespace Weir.Proxy.Upstream;

/// <summary>A request as the load of an endpoint and of its cluster count it: once, from when the endpoint is known until it is let go.</summary>
struct RequestSlot
{
    /// <summary>Where it is counted; null for nowhere.</summary>
    public UpstreamHost? Host { get; private set; }

    public void Take(UpstreamHost chosen)
    {
        Host = chosen;
        chosen.ActiveRequests++;
        chosen.Load.Requests++;
    }

    public void Release()
    {
        if (Host is { } counted)
        {
            Host = null;
            counted.ActiveRequests--;
            counted.Load.Requests--;
        }
    }
}
