using Google.Protobuf;
using Google.Protobuf.Reflection;
using Weir.Xds.Client;

namespace Weir.Proxy.Tests;

/// <summary>
/// Every field of every message that the proxy's part of xDS has is either carried out, which <see cref="FieldTable"/> says, or said of by
/// name when it is set: refused, or remarked on. Nothing is ignored in silence.
/// </summary>
public sealed class FieldCoverageTests : IDisposable
{
    /// <summary>Messages of the protocol itself, which say nothing of how to serve.</summary>
    static readonly HashSet<string> Protocol =
        ["Node", "DiscoveryRequest", "DiscoveryResponse", "DeltaDiscoveryRequest", "DeltaDiscoveryResponse", "Resource", "Status"];

    /// <summary>Messages that no other has, or that the field they stand in is refused for.</summary>
    static readonly HashSet<string> Unreached =
        ["EnvoyGrpc", "GrpcService", "FractionalPercent", "RuntimeFractionalPercent", "RegexMatchAndSubstitute", "Tracing"];

    readonly TestCertificates certificates = new();

    public void Dispose() => certificates.Dispose();

    [Fact]
    public async Task A_field_is_carried_out_or_named()
    {
        await using var proxy = new ProxyHarness();
        var failures = new SortedSet<string>();
        var seen = new HashSet<string>();
        var bases = FieldBases.All(certificates).ToList();

        // Once before, so that each finds what it refers to.
        bases.ForEach(b => Outcome(proxy, b.Type, b.Name, b.Message));
        bases.ForEach(b => Outcome(proxy, b.Type, b.Name, b.Message));
        foreach (var (type, name, message) in bases)
        {
            var (isRefused, text) = Outcome(proxy, type, name, message);
            Assert.False(isRefused, $"{name} must be taken as it is: {text}");
            FieldEdits.Walk(message, [], (path, field) =>
            {
                var key = $"{NameOf(field.ContainingType)}.{field.Name}";
                seen.Add(key);
                if (!FieldTable.Keys.Contains(key))
                {
                    failures.UnionWith(FieldEdits.WithFieldSet(message, path, field).Select(m => Outcome(proxy, type, name, m).Text)
                        .Where(t => !t.Contains(field.Name, StringComparison.Ordinal)).Select(t => $"{key}: \"{t}\" does not name it"));
                }
            });
            _ = Outcome(proxy, type, name, message);
        }

        var all = FieldBases.Files.SelectMany(f => f.MessageTypes).SelectMany(Nested).Where(m => !Protocol.Contains(m.Name) && !Unreached.Contains(NameOf(m))).SelectMany(m => m.Fields.InFieldNumberOrder());
        failures.UnionWith(all.Select(f => $"{NameOf(f.ContainingType)}.{f.Name}").Except(seen).Select(k => $"{k} is in no resource of the test"));
        Assert.True(failures.Count == 0, string.Join("\n", failures));
        Assert.Empty(FieldTable.Keys.Except(seen));
    }

    /// <summary>What is said of a resource: why it was refused, and what of it is not carried out.</summary>
    static (bool IsRefused, string Text) Outcome(ProxyHarness proxy, string type, string name, IMessage message)
    {
        var refused = proxy.Store.Apply(type, [new ReceivedResource(name, "1", message.ToByteString())], []);
        return (refused.Count > 0, string.Join("; ", refused.Values.Concat(proxy.Engine.Notes.Where(n => n.Name == name).Select(n => n.Text))));
    }

    static IEnumerable<MessageDescriptor> Nested(MessageDescriptor message) =>
        message.NestedTypes.Where(t => !t.GetOptions()?.MapEntry ?? true).SelectMany(Nested).Prepend(message);

    static string NameOf(MessageDescriptor message) => message.ContainingType is { } outer ? $"{NameOf(outer)}.{message.Name}" : message.Name;
}
