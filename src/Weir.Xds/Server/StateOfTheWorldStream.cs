using Envoy.Config.Core.V3;
using Envoy.Service.Discovery.V3;

namespace Weir.Xds.Server;

/// <summary>
/// The server's half of one state-of-the-world ADS stream: each response says all there is of its type that the proxy asked for. Clusters
/// and listeners that are gone are left out only after the types that may refer to them have been sent.
/// </summary>
public sealed class StateOfTheWorldStream(ISnapshotSource source, Stream requests, Stream responses)
    : DiscoveryStream<DiscoveryRequest>(source, requests, responses, DiscoveryRequest.Parser)
{
    sealed class Subscription
    {
        /// <summary>Null for everything there is.</summary>
        public HashSet<string>? Names { get; set; }
        public string Nonce { get; set; } = "";
        public Dictionary<string, XdsResource> Sent { get; set; } = [];
    }

    readonly Dictionary<string, Subscription> subscriptions = [];

    protected override Node? NodeOf(DiscoveryRequest request) => request.Node;

    protected override async Task HandleAsync(DiscoveryRequest request, ISnapshotSubscription subscription, XdsSnapshot snapshot, CancellationToken cancel)
    {
        if (request.ResponseNonce.Length > 0)
        {
            Answered(request.ResponseNonce, request.TypeUrl, request.ErrorDetail, subscription);
        }

        var isNew = !subscriptions.TryGetValue(request.TypeUrl, out var state);
        if (isNew)
        {
            subscriptions[request.TypeUrl] = state = new Subscription();
        }
        else if (request.ResponseNonce.Length > 0 && request.ResponseNonce != state!.Nonce)
        {
            // It answers a response that another has overtaken; what it asks for will be asked for again.
            return;
        }

        // The first request without names asks for everything there is; a later one for nothing.
        var names = request.ResourceNames.Count > 0 ? request.ResourceNames.ToHashSet() : isNew || state!.Names is null ? null : [];
        var hasNewNames = names is not null && !names.IsSubsetOf(state!.Names ?? []);
        state!.Names = names;
        if (isNew ? !Has(request, snapshot) : hasNewNames)
        {
            await SendAsync(request.TypeUrl, state, Wanted(request.TypeUrl, state, snapshot), snapshot, cancel).ConfigureAwait(false);
            PushedRevision = snapshot.Revision;
        }
    }

    /// <summary>A proxy that comes back and has this very state is not sent it again.</summary>
    bool Has(DiscoveryRequest request, XdsSnapshot snapshot)
    {
        var state = subscriptions[request.TypeUrl];
        var wanted = Wanted(request.TypeUrl, state, snapshot);
        var isSame = request.VersionInfo == Version(wanted);
        state.Sent = isSame ? wanted : [];
        return isSame;
    }

    protected override async Task PushAsync(XdsSnapshot snapshot, CancellationToken cancel)
    {
        // First with what is going to be removed, then without it.
        foreach (var type in XdsTypes.PushOrder)
        {
            if (subscriptions.TryGetValue(type, out var state))
            {
                var all = Wanted(type, state, snapshot);
                foreach (var (name, resource) in state.Sent)
                {
                    all.TryAdd(name, resource);
                }

                await SendIfChangedAsync(type, state, all, snapshot, cancel).ConfigureAwait(false);
            }
        }

        foreach (var type in XdsTypes.PushOrder.Reverse())
        {
            if (subscriptions.TryGetValue(type, out var state))
            {
                await SendIfChangedAsync(type, state, Wanted(type, state, snapshot), snapshot, cancel).ConfigureAwait(false);
            }
        }
    }

    static Dictionary<string, XdsResource> Wanted(string type, Subscription state, XdsSnapshot snapshot) =>
        snapshot.Of(type).Where(r => state.Names?.Contains(r.Key) ?? true).ToDictionary();

    Task SendIfChangedAsync(string type, Subscription state, Dictionary<string, XdsResource> resources, XdsSnapshot snapshot, CancellationToken cancel) =>
        Version(resources) == Version(state.Sent) ? Task.CompletedTask : SendAsync(type, state, resources, snapshot, cancel);

    Task SendAsync(string type, Subscription state, Dictionary<string, XdsResource> resources, XdsSnapshot snapshot, CancellationToken cancel)
    {
        Overtaken(state.Nonce);
        var response = new DiscoveryResponse { TypeUrl = type, VersionInfo = Version(resources), Nonce = NextNonce() };
        response.Resources.AddRange(resources.OrderBy(r => r.Key, StringComparer.Ordinal)
            .Select(r => new Google.Protobuf.WellKnownTypes.Any { TypeUrl = type, Value = r.Value.Value }));
        (state.Nonce, state.Sent) = (response.Nonce, resources);
        return SendAsync(response, cancel);
    }

    /// <summary>A function of the content, so that a restarted server says the same of the same.</summary>
    static string Version(Dictionary<string, XdsResource> resources)
    {
        using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        foreach (var (name, resource) in resources.OrderBy(r => r.Key, StringComparer.Ordinal))
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes($"{name}\n{resource.Version}\n"));
        }

        return Convert.ToHexString(hash.GetHashAndReset().AsSpan(0, 8));
    }
}
