using Envoy.Service.Discovery.V3;

namespace Weir.Xds.Client;

/// <summary>
/// The state-of-the-world variant: a request names all that is wanted of its type and what was accepted last, so for each type there is
/// never more than one to send, which answers the latest response and carries the latest wishes. One bad resource makes the answer a
/// NACK, as the variant knows no other, while the good ones of the response are in force.
/// </summary>
/// <param name="accepted">The version accepted last, by type; kept over breaks, so that an unchanged type need not come again.</param>
sealed class StateOfTheWorldConversation(AdsContext context, Dictionary<string, string> accepted) : IAdsConversation
{
    readonly Lock gate = new();
    readonly Dictionary<string, Subscription> subscriptions = [];
    bool hasSaidNode;

    sealed class Subscription
    {
        public required string Version { get; set; }
        public string Nonce { get; set; } = "";
        public Google.Rpc.Status? Error { get; set; }

        /// <summary>Of the latest response, when it was refused.</summary>
        public string? RefusedVersion { get; set; }
        public IReadOnlySet<string> Wanted { get; set; } = new HashSet<string>();
        public bool IsOpen { get; set; }
        public bool IsDue { get; set; }
    }

    public string Method => GrpcFraming.StateOfTheWorldMethod;

    public void Begin()
    {
        foreach (var type in XdsTypes.PushOrder)
        {
            subscriptions[type] = new Subscription { Version = accepted.GetValueOrDefault(type, ""), IsDue = AdsContext.Wildcards.Contains(type) };
        }

        Want();
    }

    public void OnMessage(byte[] message)
    {
        context.OnResponse();
        var response = DiscoveryResponse.Parser.ParseFrom(message);
        if (!subscriptions.TryGetValue(response.TypeUrl, out var subscription))
        {
            context.Log($"the control plane sent resources of {response.TypeUrl}, which nobody asked for");
            return;
        }

        var intake = new ResponseIntake(response.TypeUrl);
        foreach (var resource in response.Resources)
        {
            var content = resource.TypeUrl == XdsTypes.Wrapper ? Resource.Parser.ParseFrom(resource.Value).Resource_ : resource;
            intake.Add(null, response.VersionInfo, content);
        }

        var error = intake.Apply(context.Sink, Removed(response.TypeUrl, intake), context.Status, context.Log);
        lock (gate)
        {
            if (error is null)
            {
                accepted[response.TypeUrl] = subscription.Version = response.VersionInfo;
            }

            subscription.RefusedVersion = error is null ? null : response.VersionInfo;
            (subscription.Nonce, subscription.Error, subscription.IsDue) = (response.Nonce, error, true);
        }

        Want();
    }

    public bool Recover(string type)
    {
        lock (gate)
        {
            if (subscriptions.GetValueOrDefault(type) is not { RefusedVersion: { } version } subscription)
            {
                return false;
            }

            accepted[type] = subscription.Version = version;
            (subscription.RefusedVersion, subscription.Error, subscription.IsDue) = (null, null, true);
            return true;
        }
    }

    /// <summary>A response says all clusters or listeners there are; of the other types, what it does not say is as it was.</summary>
    List<string> Removed(string type, ResponseIntake intake) => !AdsContext.Wildcards.Contains(type) || intake.HasNameless ? []
        : [.. context.Sink.Versions(type).Keys.Where(n => !intake.Names.Contains(n))];

    void Want()
    {
        foreach (var type in AdsContext.Named)
        {
            var wanted = context.Sink.References(type);
            lock (gate)
            {
                // No names at first would ask for everything.
                var subscription = subscriptions[type];
                subscription.IsDue |= !subscription.Wanted.SetEquals(wanted) && (subscription.IsOpen || wanted.Count > 0);
                subscription.Wanted = wanted;
            }
        }
    }

    public bool TryTakeMessage(out byte[] message)
    {
        lock (gate)
        {
            foreach (var type in AdsContext.Wildcards.Concat(AdsContext.Named))
            {
                if (subscriptions[type] is { IsDue: true } subscription)
                {
                    message = GrpcFraming.Encode(Ask_NeedsLock(type, subscription));
                    return true;
                }
            }
        }

        message = [];
        return false;
    }

    DiscoveryRequest Ask_NeedsLock(string type, Subscription subscription)
    {
        var request = new DiscoveryRequest { TypeUrl = type, VersionInfo = subscription.Version, ResponseNonce = subscription.Nonce };
        request.ResourceNames.AddRange(subscription.Wanted);
        if (!hasSaidNode)
        {
            request.Node = context.Node;
            hasSaidNode = true;
        }

        if (subscription.Error is { } error)
        {
            request.ErrorDetail = error;
        }

        (subscription.Error, subscription.IsDue, subscription.IsOpen) = (null, false, true);
        return request;
    }
}
