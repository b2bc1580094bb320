using Envoy.Config.Core.V3;
using Envoy.Service.Discovery.V3;

namespace Weir.Xds.Server;

/// <summary>
/// The server's half of one incremental ADS stream. Changes go out in push order, removals in the reverse, so that a proxy never
/// holds a reference to something it was not yet, or is no longer, told of.
/// </summary>
public sealed class DeltaStream(ISnapshotSource source, Stream requests, Stream responses)
    : DiscoveryStream<DeltaDiscoveryRequest>(source, requests, responses, DeltaDiscoveryRequest.Parser)
{
    const string Everything = "*";

    sealed class Subscription
    {
        public bool IsWildcard { get; set; }
        public HashSet<string> Names { get; } = [];
        public Dictionary<string, string> Sent { get; } = [];

        public bool Wants(string name) => IsWildcard || Names.Contains(name);
    }

    readonly Dictionary<string, Subscription> subscriptions = [];

    protected override Node? NodeOf(DeltaDiscoveryRequest request) => request.Node;

    protected override async Task HandleAsync(
        DeltaDiscoveryRequest request, ISnapshotSubscription subscription, XdsSnapshot snapshot, CancellationToken cancel)
    {
        if (request.ResponseNonce.Length > 0)
        {
            Answered(request.ResponseNonce, request.TypeUrl, request.ErrorDetail, subscription);
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
            state!.IsWildcard |= name == Everything;
            state.Names.Add(name);

            // Asked for anew, it is sent even if the proxy once had it.
            if (!isNew)
            {
                state.Sent.Remove(name);
            }
        }

        foreach (var name in request.ResourceNamesUnsubscribe)
        {
            state!.IsWildcard &= name != Everything;
            state.Names.Remove(name);
            state.Sent.Remove(name);
        }

        if (isNew || request.ResourceNamesSubscribe.Count > 0)
        {
            // An answer is owed even if it is empty: the proxy waits for it to know that it has everything.
            await SendAsync(request.TypeUrl, snapshot, withRemovals: true, force: isNew, cancel).ConfigureAwait(false);
            PushedRevision = snapshot.Revision;
        }
    }

    protected override async Task PushAsync(XdsSnapshot snapshot, CancellationToken cancel)
    {
        foreach (var type in XdsTypes.PushOrder)
        {
            await SendAsync(type, snapshot, withRemovals: false, force: false, cancel).ConfigureAwait(false);
        }

        foreach (var type in XdsTypes.PushOrder.Reverse())
        {
            await SendAsync(type, snapshot, withRemovals: true, force: false, cancel).ConfigureAwait(false);
        }
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

        response.Nonce = NextNonce();
        await SendAsync(response, cancel).ConfigureAwait(false);
    }
}
