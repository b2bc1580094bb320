namespace Weir.Proxy.Listeners;

/// <summary>A downstream connection, as its worker sees it: a link of the list of all.</summary>
abstract class Connection
{
    internal Connection? NextConnection;
    internal Connection? PreviousConnection;

    /// <summary>Null while it is being set up.</summary>
    public abstract FilterChain? Chain { get; }

    public abstract void Begin();

    /// <summary>Ends it now if it is idle, else after what it is doing.</summary>
    public abstract void Drain();

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
