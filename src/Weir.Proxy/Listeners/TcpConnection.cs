using System.Diagnostics;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>A session of bytes between a client and an endpoint.</summary>
sealed class TcpConnection(Worker worker, AsyncSocket client, Downstream downstream, FilterChain chain) : Connection, ILogSubject
{
    readonly TcpOptions options = chain.Tcp!;
    UpstreamConnection? upstream;
    LogFacts facts;

    public override FilterChain Chain => chain;

    public Downstream Downstream => downstream;

    ref readonly LogFacts ILogSubject.Facts => ref facts;

    public ReadOnlySpan<byte> TraceId => default;

    public ReadOnlySpan<byte> RequestHeader(ReadOnlySpan<byte> name) => default;

    public ReadOnlySpan<byte> ResponseHeader(ReadOnlySpan<byte> name) => default;

    public override void Begin() => _ = RunAsync();

    public override void Drain()
    {
        // A session of bytes has no point at which it could be ended without harm; the drain limit ends it.
    }

    /// <summary>Ends the session when it has lasted as long as it may.</summary>
    sealed class Lifetime(TcpConnection session) : TimerEntry
    {
        public override void OnDue()
        {
            session.facts.Flag = ResponseFlag.DT;
            session.upstream?.Close();
            session.CloseClient();
        }
    }

    void CloseClient() => client.Close();

    async Task RunAsync()
    {
        facts = LogFacts.Begin(worker.Loop.Time.GetUtcNow());
        var lifetime = new Lifetime(this);
        if (options.MaximumMilliseconds > 0)
        {
            worker.Loop.Timers.Set(lifetime, worker.Loop.Now + options.MaximumMilliseconds);
        }

        TcpSeries? series = null;
        try
        {
            var target = options.Pick();
            if (target.Cluster.Current is not { } cluster)
            {
                Fail(Cause.NoCluster);
                return;
            }

            facts.Cluster = cluster.NameBytes;
            var cause = await ConnectAsync(cluster, target);
            if (cause != Cause.None)
            {
                Fail(cause);
                return;
            }

            series = SeriesOf(upstream!.Cluster, facts.UpstreamAddress!.Value);
            series.Opened++;
            var relay = new Relay(worker.Loop, client, upstream.Socket, options.IdleMilliseconds);
            await relay.RunAsync();
            facts.BytesReceived = relay.FromClient;
            facts.BytesSent = relay.FromUpstream;
            facts.Flag = relay.IsTimedOut ? ResponseFlag.SI : facts.Flag;
        }
        catch (Exception e)
        {
            worker.Engine.Report(e);
        }
        finally
        {
            worker.Loop.Timers.Remove(lifetime);
            upstream?.Close();
            client.Close();
            worker.Remove(this);
            Record(series);
        }
    }

    async ValueTask<Cause> ConnectAsync(Cluster cluster, WeightedTarget target)
    {
        var load = cluster.Loads[worker.Loop.Index];
        var cause = Cause.NoHealthyEndpoint;
        Endpoint? endpoint = null;
        ulong? hash = cluster.Balancing.Policy is BalancingPolicy.RingHash or BalancingPolicy.Maglev ? HashPolicy.OfAddress(downstream.Peer) : null;
        for (var attempt = 0; attempt < options.ConnectAttempts && client.IsOpen; attempt++)
        {
            endpoint = worker.Balancer.Pick(cluster, cluster.Select(target.Subset), hash, endpoint);
            if (endpoint is null)
            {
                return Cause.NoHealthyEndpoint;
            }

            if (load.Connections >= cluster.Limits.MaximumConnections)
            {
                return Cause.PendingOverflow;
            }

            facts.Attempts = attempt + 1;
            facts.UpstreamAddress = endpoint.Address;
            var host = worker.HostOf(endpoint, cluster);
            host.ActiveRequests++;
            (upstream, cause) = await worker.Connector.ConnectAsync(host, cluster, downstream);
            if (upstream is not null)
            {
                activeHost = host;
                facts.UpstreamLocalAddress = options.AccessLogs.Length > 0 ? upstream.Socket.LocalAddress : null;
                return Cause.None;
            }

            host.ActiveRequests--;
        }

        return cause;
    }

    UpstreamHost? activeHost;

    TcpSeries SeriesOf(Cluster cluster, SocketAddressV4 address)
    {
        var endpoint = Array.Find(cluster.All.Endpoints, e => e.Address == address);
        return (endpoint?.Scope ?? cluster.Scope).Tcp(worker.Loop.Index);
    }

    void Fail(Cause cause)
    {
        ref readonly var description = ref CauseDescription.Of(cause);
        facts.Flag = description.Flag;
        facts.Details = description.Details;
        facts.TransportFailure = cause == Cause.TlsFailed ? worker.Connector.TransportFailure : "";
    }

    void Record(TcpSeries? series)
    {
        facts.EndTicks = Stopwatch.GetTimestamp();
        if (activeHost is not null)
        {
            activeHost.ActiveRequests--;
        }

        if (series is not null)
        {
            series.ReceivedBytes += facts.BytesReceived;
            series.SentBytes += facts.BytesSent;
            series.Closed++;
        }

        foreach (var log in options.AccessLogs)
        {
            log.Write(worker.Loop, this);
        }
    }
}
