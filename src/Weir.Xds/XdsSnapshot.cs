using System.Collections.Immutable;
using System.Security.Cryptography;
using Google.Protobuf;

namespace Weir.Xds;

/// <summary>One resource, encoded, with a version that is a function of its content.</summary>
public sealed class XdsResource
{
    public XdsResource(string name, IMessage message)
    {
        Name = name;
        Value = message.ToByteString();
        Version = Convert.ToHexString(SHA256.HashData(Value.Span).AsSpan(0, 8));
    }

    public string Name { get; }
    public ByteString Value { get; }
    public string Version { get; }
}

/// <summary>All that one proxy is to be told, by type and name. Immutable.</summary>
/// <param name="Revision">Of the mesh snapshot it was compiled from.</param>
public sealed record XdsSnapshot(long Revision, ImmutableDictionary<string, ImmutableDictionary<string, XdsResource>> Types)
{
    public static readonly XdsSnapshot Empty = new(0, ImmutableDictionary<string, ImmutableDictionary<string, XdsResource>>.Empty);

    public ImmutableDictionary<string, XdsResource> Of(string type) =>
        Types.GetValueOrDefault(type) ?? ImmutableDictionary<string, XdsResource>.Empty;

    public static XdsSnapshot Create(long revision, IEnumerable<(string Type, XdsResource Resource)> resources) => new(revision,
        resources.GroupBy(r => r.Type).ToImmutableDictionary(g => g.Key, g => g.ToImmutableDictionary(r => r.Resource.Name, r => r.Resource)));
}
