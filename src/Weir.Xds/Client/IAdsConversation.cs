using Envoy.Config.Core.V3;
using Weir.Xds.Http2;

namespace Weir.Xds.Client;

/// <summary>What is said on one ADS stream, in one of the two variants.</summary>
interface IAdsConversation : ICallHandler
{
    string Method { get; }

    /// <summary>Called once before the call begins, on the task that reads.</summary>
    void Begin();

    /// <summary>What was refused of this type's latest response is in force by now, all of it: that response is acknowledged after all.</summary>
    /// <returns>Whether there is something to say.</returns>
    bool Recover(string type);
}

/// <summary>What both variants need, and who is told of what happens.</summary>
sealed record AdsContext(Node Node, IConfigSink Sink, AdsStatus Status, Action<string> Log, Action OnResponse)
{
    /// <summary>Everything of these types is asked for.</summary>
    public static readonly IReadOnlyList<string> Wildcards = [XdsTypes.Cluster, XdsTypes.Listener];

    /// <summary>Of these types, what the wildcards' resources name.</summary>
    public static readonly IReadOnlyList<string> Named = [XdsTypes.Secret, XdsTypes.Endpoints, XdsTypes.Route];
}
