using System.Runtime.CompilerServices;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Listeners;

/// <summary>
/// A client's connection. While it is idle this is all there is of it: what serving takes is borrowed for as long as there is something
/// to serve, so that idle connections cost little.
/// </summary>
sealed class HttpConnection(Worker worker, AsyncSocket client, Downstream downstream, FilterChain chain) : Connection
{
    Lifetime? lifetime;
    bool isServed;
    bool isEnding;
    bool isRetired;
    int requests;

    public AsyncSocket Client => client;
    public Downstream Downstream => downstream;
    public HttpOptions Options => chain.Http!;
    public override FilterChain Chain => chain;

    /// <summary>The last request has been taken: its answer tells the client so.</summary>
    public bool IsLast => isRetired || IsEnding || (Options.MaximumRequestsPerConnection > 0 && requests >= Options.MaximumRequestsPerConnection);

    bool IsEnding => isEnding || worker.IsDraining;

    /// <summary>Whether the next request can be read at once, instead of being waited for.</summary>
    public bool HasMore => client.IsReadyToRead && !IsEnding;

    /// <summary>The counters of requests with this client's proven identity.</summary>
    public StatsScope ScopeFor(StatsScope scope)
    {
        var tls = downstream.Tls!;
        if (tls.Scope.Key != scope)
        {
            tls.Scope = new(scope, worker.Engine.Stats.Get(scope.Labels with { SourcePrincipal = downstream.Principal, DestinationPrincipal = tls.LocalPrincipal, IsMutualTls = true }));
        }

        return tls.Scope.Value;
    }

    public override void Begin()
    {
        if (Options.MaximumConnectionMilliseconds > 0)
        {
            worker.Loop.Timers.Set(lifetime = new Lifetime(this), worker.Loop.Now + Options.MaximumConnectionMilliseconds);
        }

        Rest();
    }

    public override void Drain()
    {
        isEnding = true;

        // The request of a connection that has not had one yet is most likely on its way.
        if (!isServed && requests > 0)
        {
            client.Close();
        }
    }

    public override void Retire() => isRetired = true;

    public void CountRequest() => requests++;

    /// <summary>Waits for the next request.</summary>
    void Rest()
    {
        if (IsEnding && requests > 0)
        {
            End();
        }
        else if (client.IsReadyToRead)
        {
            Serve();
        }
        else
        {
            client.WhenReadable(Options.ConnectionIdleMilliseconds, static connection => Unsafe.As<HttpConnection>(connection!).OnReadable(), this);
        }
    }

    void OnReadable()
    {
        if (client.WaitResult < 0)
        {
            End();
        }
        else
        {
            Serve();
        }
    }

    void Serve()
    {
        isServed = true;
        worker.RentSession().Serve(this);
    }

    /// <summary>All that had come has been served.</summary>
    public void OnServed(bool keepsAlive)
    {
        isServed = false;
        if (keepsAlive)
        {
            Rest();
        }
        else
        {
            End();
        }
    }

    void End()
    {
        if (lifetime is not null)
        {
            worker.Loop.Timers.Remove(lifetime);
        }

        client.Close();
        worker.Remove(this);
    }

    /// <summary>Ends the connection when it has been open for as long as it may be.</summary>
    sealed class Lifetime(HttpConnection connection) : TimerEntry
    {
        public override void OnDue() => connection.Drain();
    }
}
