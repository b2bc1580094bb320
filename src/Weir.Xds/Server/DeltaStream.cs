using System.Threading.Channels;
using Envoy.Service.Discovery.V3;

namespace Weir.Xds.Server;

/// <summary>
/// The server's half of one incremental ADS stream. Changes go out in push order, removals in the reverse, so that a proxy never
/// holds a reference to something it was not yet, or is no longer, told of.
/// </summary>
public sealed class DeltaStream(ISnapshotSource source, Stream requests, Stream responses)
{
    const int MaximumPendingRequests = 64;

    sealed class Subscription
    {
        public bool IsWildcard { get; set; }
        public HashSet<string> Names { get; } = [];
        public Dictionary<string, string> Sent { get; } = [];

        public bool Wants(string name) => IsWildcard || Names.Contains(name);
    }

    readonly Dictionary<string, Subscription> subscriptions = [];
    readonly HashSet<string> outstanding = [];
    long nonce;
    long pushedRevision;

    /// <summary>Serves until the proxy closes the stream or the token is cancelled.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        var incoming = Channel.CreateBounded<DeltaDiscoveryRequest>(MaximumPendingRequests);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var reading = ReadAsync(incoming.Writer, ended);
        try
        {
            var first = await incoming.Reader.ReadAsync(ended.Token).ConfigureAwait(false);
            using var subscription = source.Subscribe(first.Node ?? new());
            var seen = subscription.Current;
            await HandleAsync(first, subscription, seen, ended.Token).ConfigureAwait(false);
            await ServeAsync(incoming.Reader, subscription, seen, ended.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or ChannelClosedException or IOException)
        {
            // The proxy has gone; it will be back.
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await reading.ConfigureAwait(false);
        }
    }

    async Task ServeAsync(ChannelReader<DeltaDiscoveryRequest> incoming, ISnapshotSubscription subscription, XdsSnapshot seen, CancellationToken cancel)
    {
        var changed = subscription.ChangedAsync(seen, cancel);
        var arrived = incoming.WaitToReadAsync(cancel).AsTask();
        while (true)
        {
            await Task.WhenAny(changed, arrived).ConfigureAwait(false);
            if (arrived.IsCompleted)
            {
                if (!await arrived.ConfigureAwait(false))
                {
                    return;
                }

                while (incoming.TryRead(out var request))
                {
                    await HandleAsync(request, subscription, seen, cancel).ConfigureAwait(false);
                }

                arrived = incoming.WaitToReadAsync(cancel).AsTask();
            }

            if (changed.IsCompleted)
            {
                await changed.ConfigureAwait(false);
                seen = subscription.Current;
                await PushAsync(seen, cancel).ConfigureAwait(false);
                changed = subscription.ChangedAsync(seen, cancel);
                Settle(subscription);
            }
        }
    }

    async Task ReadAsync(ChannelWriter<DeltaDiscoveryRequest> incoming, CancellationTokenSource ended)
    {
        try
        {
            while (await GrpcFraming.ReadAsync(requests, ended.Token).ConfigureAwait(false) is { } bytes)
            {
                await incoming.WriteAsync(DeltaDiscoveryRequest.Parser.ParseFrom(bytes), ended.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or Google.Protobuf.InvalidProtocolBufferException or InvalidDataException)
        {
            // Ends below like an orderly close.
        }

        incoming.TryComplete();
    }

    async Task HandleAsync(DeltaDiscoveryRequest request, ISnapshotSubscription subscription, XdsSnapshot snapshot, CancellationToken cancel)
    {
        if (request.ResponseNonce.Length > 0)
        {
            if (request.ErrorDetail is { } error)
            {
                outstanding.Remove(request.ResponseNonce);
                subscription.Reject(request.TypeUrl, error.Message);
                return;
            }

            outstanding.Remove(request.ResponseNonce);
            Settle(subscription);
        }

        var isNew = !subscriptions.TryGetValue(request.TypeUrl, out var state);
        if (isNew)
        {
            subscriptions[request.TypeUrl] = state = new Subscription
            {
                // The first request without names asks for everything there is.
                IsWildcard = request.ResourceNamesSubscribe.Count == 0,
            };
            foreach (var (name, version) in request.InitialResourceVersions)
            {
                state.Sent[name] = version;
            }
        }

        foreach (var name in request.ResourceNamesSubscribe)
        {
            state!.IsWildcard |= name == "*";
            state.Names.Add(name);

            // Asked for anew, it is sent even if the proxy once had it.
            if (!isNew)
            {
                state.Sent.Remove(name);
            }
        }

        foreach (var name in request.ResourceNamesUnsubscribe)
        {
            state!.Names.Remove(name);
            state.Sent.Remove(name);
        }

        if (isNew || request.ResourceNamesSubscribe.Count > 0)
        {
            // An answer is owed even if it is empty: the proxy waits for it to know that it has everything.
            await SendAsync(request.TypeUrl, snapshot, withRemovals: true, force: isNew, cancel).ConfigureAwait(false);
            pushedRevision = snapshot.Revision;
        }
    }

    async Task PushAsync(XdsSnapshot snapshot, CancellationToken cancel)
    {
        foreach (var type in XdsTypes.PushOrder)
        {
            await SendAsync(type, snapshot, withRemovals: false, force: false, cancel).ConfigureAwait(false);
        }

        foreach (var type in XdsTypes.PushOrder.Reverse())
        {
            await SendAsync(type, snapshot, withRemovals: true, force: false, cancel).ConfigureAwait(false);
        }

        pushedRevision = snapshot.Revision;
    }

    async Task SendAsync(string type, XdsSnapshot snapshot, bool withRemovals, bool force, CancellationToken cancel)
    {
        if (!subscriptions.TryGetValue(type, out var state))
        {
            return;
        }

        var response = new DeltaDiscoveryResponse { TypeUrl = type, SystemVersionInfo = snapshot.Revision.ToString() };
        var resources = snapshot.Of(type);
        foreach (var (name, resource) in resources)
        {
            if (state.Wants(name) && state.Sent.GetValueOrDefault(name) != resource.Version)
            {
                state.Sent[name] = resource.Version;
                response.Resources.Add(new Resource
                {
                    Name = name,
                    Version = resource.Version,
                    Resource_ = new Google.Protobuf.WellKnownTypes.Any { TypeUrl = type, Value = resource.Value },
                });
            }
        }

        if (withRemovals)
        {
            foreach (var name in state.Sent.Keys.Where(n => !resources.ContainsKey(n)).ToList())
            {
                state.Sent.Remove(name);
                response.RemovedResources.Add(name);
            }
        }

        if (response.Resources.Count == 0 && response.RemovedResources.Count == 0 && !force)
        {
            return;
        }

        response.Nonce = (++nonce).ToString();
        outstanding.Add(response.Nonce);
        await responses.WriteAsync(GrpcFraming.Encode(response), cancel).ConfigureAwait(false);
        await responses.FlushAsync(cancel).ConfigureAwait(false);
    }

    void Settle(ISnapshotSubscription subscription)
    {
        if (outstanding.Count == 0)
        {
            subscription.Acknowledge(pushedRevision);
        }
    }
}
