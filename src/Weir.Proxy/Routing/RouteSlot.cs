namespace Weir.Proxy.Routing;

/// <summary>A route table by name, as it is at the moment: a change is one store, whoever uses it.</summary>
sealed class RouteSlot(string name)
{
    volatile RouteTable? current;

    public string Name => name;

    /// <summary>Null until it has come.</summary>
    public RouteTable? Current
    {
        get => current;
        set => current = value;
    }
}
