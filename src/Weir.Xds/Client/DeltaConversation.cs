using Envoy.Service.Discovery.V3;

namespace Weir.Xds.Client;

/// <summary>
/// The incremental variant. After a break it says what it still has, and is sent only what has changed since. What it wants is kept as
/// sets, of which a request says the difference to what was asked before: however slowly the server reads, there is nothing to queue
/// but acknowledgements.
/// </summary>
sealed class DeltaConversation(AdsContext context) : IAdsConversation
{
    /// <summary>A server that has sent this many responses without reading an answer is not reading at all.</summary>
    const int MaximumAnswers = 1024;

    readonly Lock gate = new();
    readonly Queue<DeltaDiscoveryRequest> answers = [];
    readonly Dictionary<string, Subscription> subscriptions = [];
    bool hasSaidNode;

    sealed class Subscription
    {
        public bool IsWildcard { get; init; }
        public bool IsOpen { get; set; }
        public HashSet<string> Asked { get; set; } = [];
        public IReadOnlySet<string> Wanted { get; set; } = new HashSet<string>();
        public IReadOnlyDictionary<string, string> Versions { get; set; } = new Dictionary<string, string>();
        public bool IsChanged { get; set; }

        /// <summary>Of the latest response, when it was refused.</summary>
        public string? RefusedNonce { get; set; }
    }

    public string Method => GrpcFraming.DeltaMethod;

    public void Begin()
    {
        foreach (var type in AdsContext.Wildcards)
        {
            subscriptions[type] = new Subscription { IsWildcard = true, IsChanged = true, Versions = context.Sink.Versions(type) };
        }

        foreach (var type in AdsContext.Named)
        {
            subscriptions[type] = new Subscription();
        }

        Want();
    }

    public void OnMessage(byte[] message)
    {
        context.OnResponse();
        var response = DeltaDiscoveryResponse.Parser.ParseFrom(message);
        var intake = new ResponseIntake(response.TypeUrl);
        IReadOnlyDictionary<string, string>? held = null;
        foreach (var resource in response.Resources)
        {
            // A sign of life of what is there already comes without content.
            if (resource.Resource_ is null && XdsTypes.PushOrder.Contains(response.TypeUrl)
                && (held ??= context.Sink.Versions(response.TypeUrl)).GetValueOrDefault(resource.Name) == resource.Version)
            {
                continue;
            }

            intake.Add(resource.Name, resource.Version, resource.Resource_);
        }

        var answer = new DeltaDiscoveryRequest { TypeUrl = response.TypeUrl, ResponseNonce = response.Nonce };
        if (intake.Apply(context.Sink, response.RemovedResources, context.Status, context.Log) is { } detail)
        {
            answer.ErrorDetail = detail;
        }

        lock (gate)
        {
            Answer_NeedsLock(answer);
            if (subscriptions.TryGetValue(response.TypeUrl, out var subscription))
            {
                subscription.RefusedNonce = answer.ErrorDetail is null ? null : response.Nonce;
            }
        }

        Want();
    }

    void Answer_NeedsLock(DeltaDiscoveryRequest answer) =>
        answers.Enqueue(answers.Count < MaximumAnswers ? answer : throw new IOException("the control plane sends responses and reads no answers"));

    public bool Recover(string type)
    {
        lock (gate)
        {
            if (subscriptions.GetValueOrDefault(type) is not { RefusedNonce: { } nonce } subscription)
            {
                return false;
            }

            subscription.RefusedNonce = null;
            Answer_NeedsLock(new DeltaDiscoveryRequest { TypeUrl = type, ResponseNonce = nonce });
            return true;
        }
    }

    /// <summary>Notes what clusters and listeners now refer to.</summary>
    void Want()
    {
        foreach (var type in AdsContext.Named)
        {
            var wanted = context.Sink.References(type);
            lock (gate)
            {
                var subscription = subscriptions[type];
                subscription.Wanted = wanted;
                subscription.IsChanged = !subscription.Asked.SetEquals(wanted);
                if (!subscription.IsOpen)
                {
                    subscription.Versions = context.Sink.Versions(type);
                }
            }
        }
    }

    public bool TryTakeMessage(out byte[] message)
    {
        lock (gate)
        {
            var request = Next_NeedsLock();
            message = [];
            if (request is null)
            {
                return false;
            }

            if (!hasSaidNode)
            {
                request.Node = context.Node;
                hasSaidNode = true;
            }

            message = GrpcFraming.Encode(request);
            return true;
        }
    }

    DeltaDiscoveryRequest? Next_NeedsLock()
    {
        if (answers.TryDequeue(out var answer))
        {
            return answer;
        }

        foreach (var type in AdsContext.Wildcards.Concat(AdsContext.Named))
        {
            if (subscriptions[type] is { IsChanged: true } subscription)
            {
                return Ask(type, subscription);
            }
        }

        return null;
    }

    static DeltaDiscoveryRequest Ask(string type, Subscription subscription)
    {
        var request = new DeltaDiscoveryRequest { TypeUrl = type };
        request.ResourceNamesSubscribe.AddRange(subscription.Wanted.Where(n => !subscription.Asked.Contains(n)));
        request.ResourceNamesUnsubscribe.AddRange(subscription.Asked.Where(n => !subscription.Wanted.Contains(n)));
        if (!subscription.IsOpen)
        {
            foreach (var (name, version) in subscription.Versions.Where(v => subscription.IsWildcard || subscription.Wanted.Contains(v.Key)))
            {
                request.InitialResourceVersions.Add(name, version);
            }
        }

        subscription.Asked = [.. subscription.Wanted];
        subscription.Versions = new Dictionary<string, string>();
        (subscription.IsOpen, subscription.IsChanged) = (true, false);
        return request;
    }
}
