namespace Weir.Proxy.Telemetry;

/// <summary>The labels of Istio's metrics that do not change from request to request.</summary>
public sealed record StatsLabels(
    string Reporter, string SourceWorkload, string SourceNamespace, string SourceApp, string SourceVersion,
    string DestinationWorkload, string DestinationNamespace, string DestinationApp, string DestinationVersion,
    string DestinationService, string DestinationServiceName, string DestinationServiceNamespace,
    string SourcePrincipal = "unknown", string DestinationPrincipal = "unknown", bool IsMutualTls = false)
{
    /// <summary>Stands for all clients whose names are too many to be told apart.</summary>
    public const string OtherPrincipal = "other";

    const string Unknown = "unknown";

    /// <summary>A part of them is what a client says of itself: there may be any number.</summary>
    public bool NamesClient => Reporter == "destination" && SourcePrincipal is not (Unknown or OtherPrincipal);
}
