using Google.Protobuf;

namespace Weir.Xds.Client;

/// <summary>One resource as the control plane sent it.</summary>
public sealed record ReceivedResource(string Name, string Version, ByteString Value);

/// <summary>Takes what the control plane sends. Called on the client's own task, one response at a time.</summary>
public interface IConfigSink
{
    /// <summary>
    /// Puts the resources in force that can be. Each stands for itself: one that is refused leaves what was there under its name,
    /// and the others go ahead.
    /// </summary>
    /// <returns>Why each refused resource was refused, by its name; empty to accept.</returns>
    IReadOnlyDictionary<string, string> Apply(string type, IReadOnlyList<ReceivedResource> changed, IReadOnlyList<string> removed);

    /// <summary>The resources of this type that what was applied refers to by name.</summary>
    IReadOnlySet<string> References(string type);

    /// <summary>What it has, by name: told to the control plane after a break, so that only the rest is sent.</summary>
    IReadOnlyDictionary<string, string> Versions(string type);
}
