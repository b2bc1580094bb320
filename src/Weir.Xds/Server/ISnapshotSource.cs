using Envoy.Config.Core.V3;

namespace Weir.Xds.Server;

/// <summary>Where the server gets what to send; it knows nothing else of whoever makes it.</summary>
public interface ISnapshotSource
{
    /// <summary>Called when a proxy connects; dispose when it has gone.</summary>
    ISnapshotSubscription Subscribe(Node node);
}

public interface ISnapshotSubscription : IDisposable
{
    XdsSnapshot Current { get; }

    /// <summary>Completes when <see cref="Current"/> is no longer <paramref name="seen"/>.</summary>
    Task ChangedAsync(XdsSnapshot seen, CancellationToken cancel);

    /// <summary>The proxy has accepted everything of this revision.</summary>
    void Acknowledge(long revision);

    /// <summary>The proxy has refused a change of this type and works on with what it had.</summary>
    void Reject(string type, string reason);
}
