namespace Weir.Proxy.Simulation;

/// <summary>Somebody whom the proxy deals with. One class for each protocol and side.</summary>
interface IActor
{
    /// <summary>Does a little of what it has to do.</summary>
    /// <returns>False when there is nothing that it can do now.</returns>
    bool Act();

    /// <summary>When it wants to do something again, if nothing happens before; <see cref="long.MaxValue"/> for never.</summary>
    long NextDue { get; }
}

/// <summary>A client's connection.</summary>
interface IClient : IActor
{
    bool IsDone { get; }

    IReadOnlyList<RequestPlan> Requests { get; }

    /// <summary>It was told, in good order, that the connection ends before this request.</summary>
    bool WasDismissed(RequestPlan request);

    /// <summary>Ends it, in good order or not.</summary>
    void Leave(bool resets);
}
