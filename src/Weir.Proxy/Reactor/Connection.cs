namespace Weir.Proxy.Reactor;

/// <summary>A downstream connection, as its worker sees it: a link of the list of all.</summary>
/// <param name="servedBy">What configuration serves it; null while that is not known.</param>
abstract class Connection(object? servedBy) : LoopHandler
{
    internal Connection? NextConnection;
    internal Connection? PreviousConnection;

    public object? ServedBy => servedBy;

    public abstract void Begin();

    /// <summary>
    /// Ends it after what it is doing. An idle one stays for a moment longer, in which a request that is on its way is served, and told
    /// that it is the last.
    /// </summary>
    public abstract void Drain();

    /// <summary>Ends it now; what it is doing is cut off, and recorded as that.</summary>
    public virtual void Cut() => Abandon();

    /// <summary>Closes it if it is idle.</summary>
    /// <param name="evenUsed">Also one that has served requests, whose client may be about to send the next.</param>
    /// <returns>Whether it was closed.</returns>
    public virtual bool CloseIdle(bool evenUsed) => false;

    /// <summary>
    /// It is the last of its kind: the next answer says so. An idle one is left until then, because closing it could meet a request
    /// on its way.
    /// </summary>
    public virtual void Retire()
    {
    }
}

/// <summary>Connections in a list that is linked through them: nothing more to keep for each.</summary>
sealed class LinkedConnections
{
    Connection? first;

    public int Count { get; private set; }

    /// <summary>No more are taken, and those that are there are told to end.</summary>
    public bool IsDraining { get; set; }

    public void Add(Connection connection)
    {
        connection.NextConnection = first;
        connection.PreviousConnection = null;
        if (first is not null)
        {
            first.PreviousConnection = connection;
        }

        first = connection;
        Count++;
    }

    public void Remove(Connection connection)
    {
        if (connection.PreviousConnection is null)
        {
            first = connection.NextConnection;
        }
        else
        {
            connection.PreviousConnection.NextConnection = connection.NextConnection;
        }

        if (connection.NextConnection is not null)
        {
            connection.NextConnection.PreviousConnection = connection.PreviousConnection;
        }

        connection.NextConnection = connection.PreviousConnection = null;
        Count--;
    }

    /// <summary>The action may remove the connection it is given.</summary>
    public void ForEach(Action<Connection> action)
    {
        for (var at = first; at is not null;)
        {
            var next = at.NextConnection;
            action(at);
            at = next;
        }
    }
}
