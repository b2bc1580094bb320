using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Weir.Resources.Yaml;
using Weir.Xds;
using Weir.Xds.Server;

namespace Weir.App.ControlPlane;

/// <summary>
/// xDS from one file: a list of resources in the JSON form of their messages, each with its <c>@type</c>, as YAML or JSON. For
/// proxies without a mesh around them: trials, measurements, tests. Read again when the file is replaced.
/// </summary>
sealed class FileSnapshots : ISnapshotSource
{
    static readonly JsonParser Parser = new(JsonParser.Settings.Default.WithTypeRegistry(TypeRegistry.FromFiles(
        Envoy.Config.Cluster.V3.ClusterReflection.Descriptor,
        Envoy.Config.Endpoint.V3.EndpointReflection.Descriptor,
        Envoy.Config.Listener.V3.ListenerReflection.Descriptor,
        Envoy.Config.Route.V3.RouteReflection.Descriptor,
        Envoy.Config.Trace.V3.TraceReflection.Descriptor,
        Envoy.Extensions.AccessLoggers.File.V3.FileAccesslogReflection.Descriptor,
        Envoy.Extensions.Filters.Http.Router.V3.RouterReflection.Descriptor,
        Envoy.Extensions.Filters.Listener.HttpInspector.V3.HttpInspectorReflection.Descriptor,
        Envoy.Extensions.Filters.Listener.TlsInspector.V3.TlsInspectorReflection.Descriptor,
        Envoy.Extensions.TransportSockets.RawBuffer.V3.RawBufferReflection.Descriptor,
        Envoy.Extensions.Filters.Listener.ProxyProtocol.V3.ProxyProtocolReflection.Descriptor,
        Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManagerReflection.Descriptor,
        Envoy.Extensions.Filters.Network.TcpProxy.V3.TcpProxyReflection.Descriptor,
        Envoy.Extensions.LoadBalancingPolicies.LeastRequest.V3.LbLeastRequestReflection.Descriptor,
        Envoy.Extensions.LoadBalancingPolicies.Maglev.V3.LbMaglevReflection.Descriptor,
        Envoy.Extensions.LoadBalancingPolicies.PeakEwma.V3Alpha.LbPeakEwmaReflection.Descriptor,
        Envoy.Extensions.LoadBalancingPolicies.Random.V3.LbRandomReflection.Descriptor,
        Envoy.Extensions.LoadBalancingPolicies.RingHash.V3.LbRingHashReflection.Descriptor,
        Envoy.Extensions.LoadBalancingPolicies.RoundRobin.V3.LbRoundRobinReflection.Descriptor,
        Envoy.Extensions.TransportSockets.ProxyProtocol.V3.ProxyProtocolUpstreamReflection.Descriptor,
        Envoy.Extensions.TransportSockets.Tls.V3.TlsReflection.Descriptor,
        Envoy.Extensions.Upstreams.Http.V3.UpstreamHttpReflection.Descriptor)));

    readonly Lock gate = new();
    readonly Action<string> log;
    XdsSnapshot current = XdsSnapshot.Empty;
    TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="log">Told of acknowledgements and refusals, one line each.</param>
    public FileSnapshots(Action<string> log) => this.log = log;

    /// <exception cref="InvalidDataException">The file is no such list, or a resource cannot be read; the message says which.</exception>
    public void Load(string text)
    {
        var resources = new List<(string, XdsResource)>();
        var known = new HashSet<(string Type, string Name)>();
        foreach (var list in Lists(text))
        {
            for (var i = 0; i < list.Count; i++)
            {
                var (type, resource) = Read(list[i], $"resources[{i}]");
                if (!known.Add((type, resource.Name)))
                {
                    throw new InvalidDataException($"resources[{i}]: there is another of this type with the name \"{resource.Name}\"");
                }

                resources.Add((type, resource));
            }
        }

        lock (gate)
        {
            current = XdsSnapshot.Create(current.Revision + 1, resources);
            changed.SetResult();
            changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    static List<JsonArray> Lists(string text)
    {
        const string Missing = "the file must have a list named \"resources\"";
        try
        {
            var documents = YamlReader.Parse(text);
            return documents.Count == 0 ? throw new InvalidDataException(Missing)
                : [.. documents.Select(d => d is JsonObject top && top["resources"] is JsonArray list ? list : throw new InvalidDataException(Missing))];
        }
        catch (YamlSyntaxException e)
        {
            throw new InvalidDataException(e.Message);
        }
    }

    static (string, XdsResource) Read(JsonNode? node, string path)
    {
        var type = node is JsonObject o ? o["@type"]?.ToString() : null;
        try
        {
            (string Name, IMessage Message)? read = type switch
            {
                XdsTypes.Cluster => Parse<Envoy.Config.Cluster.V3.Cluster>(node!, c => c.Name),
                XdsTypes.Endpoints => Parse<Envoy.Config.Endpoint.V3.ClusterLoadAssignment>(node!, c => c.ClusterName),
                XdsTypes.Listener => Parse<Envoy.Config.Listener.V3.Listener>(node!, c => c.Name),
                XdsTypes.Route => Parse<Envoy.Config.Route.V3.RouteConfiguration>(node!, c => c.Name),
                XdsTypes.Secret => Parse<Envoy.Extensions.TransportSockets.Tls.V3.Secret>(node!, c => c.Name),
                _ => null,
            };
            return read is { } r ? (type!, new XdsResource(r.Name, r.Message))
                : throw new InvalidDataException($"{path}: @type must be one of {string.Join(", ", XdsTypes.PushOrder)}");
        }
        catch (Exception e) when (e is InvalidProtocolBufferException or InvalidJsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"{path}: {e.Message}");
        }
    }

    static (string, IMessage) Parse<T>(JsonNode node, Func<T, string> name)
        where T : IMessage, new()
    {
        var copy = node.DeepClone().AsObject();
        copy.Remove("@type");
        var message = Parser.Parse<T>(copy.ToJsonString());
        return (name(message), message);
    }

    public ISnapshotSubscription Subscribe(Envoy.Config.Core.V3.Node node) => new Subscription(this, node.Id);

    sealed class Subscription(FileSnapshots owner, string node) : ISnapshotSubscription
    {
        public XdsSnapshot Current
        {
            get
            {
                lock (owner.gate)
                {
                    return owner.current;
                }
            }
        }

        public Task ChangedAsync(XdsSnapshot seen, CancellationToken cancel)
        {
            lock (owner.gate)
            {
                return ReferenceEquals(seen, owner.current) ? owner.changed.Task.WaitAsync(cancel) : Task.CompletedTask;
            }
        }

        public void Acknowledge(long revision) => owner.log($"{node} has acknowledged revision {revision}");

        public void Reject(string type, string reason) => owner.log($"{node} has refused {type[(type.LastIndexOf('.') + 1)..]}: {reason}");

        public void Dispose() => owner.log($"{node} has gone");
    }
}
