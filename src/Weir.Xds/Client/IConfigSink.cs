using Google.Protobuf;

namespace Weir.Xds.Client;

/// <summary>Takes what the control plane sends. Called on the client's own task, one response at a time.</summary>
public interface IConfigSink
{
    /// <returns>Null to accept, or why the response is refused; nothing of a refused response may take effect.</returns>
    string? Apply(string type, IReadOnlyList<(string Name, ByteString Value)> changed, IReadOnlyList<string> removed);

    /// <summary>The resources of this type that what was applied refers to by name.</summary>
    IReadOnlySet<string> References(string type);
}
