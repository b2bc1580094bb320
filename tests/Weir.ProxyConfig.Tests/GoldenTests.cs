using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using System.Text.Json.Nodes;
using Weir.Dialects.Istio;
using Weir.Mesh;
using Weir.Resources;
using Weir.Resources.Yaml;
using Weir.Xds;

namespace Weir.ProxyConfig.Tests;

/// <summary>
/// Resources in, xDS out: each <c>NAME.input.yaml</c> is compiled for every proxy that its first document lists, and compared with
/// <c>NAME.golden.yaml</c>. UPDATE_GOLDEN=1 rewrites the latter, to be reviewed as a diff.
/// </summary>
public class GoldenTests
{
    static readonly string Folder = Path.Combine(Path.GetDirectoryName(Source())!, "Golden");

    static readonly CompileOptions Options = new(address => address.Replace("127.65", "127.1", StringComparison.Ordinal), 1024);

    static readonly TypeRegistry Types = TypeRegistry.FromFiles(
        Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManagerReflection.Descriptor,
        Envoy.Extensions.Filters.Network.TcpProxy.V3.TcpProxyReflection.Descriptor,
        Envoy.Extensions.Filters.Http.Router.V3.RouterReflection.Descriptor,
        Envoy.Extensions.AccessLoggers.File.V3.FileAccesslogReflection.Descriptor);

    static string Source([CallerFilePath] string path = "") => path;

    public static TheoryData<string> Cases() => [.. Directory.GetFiles(Folder, "*.input.yaml").Select(f => Path.GetFileName(f).Replace(".input.yaml", "", StringComparison.Ordinal)).Order()];

    static (MeshSnapshot Mesh, string[] Proxies) Read(string name)
    {
        var documents = YamlReader.Parse(File.ReadAllText(Path.Combine(Folder, name + ".input.yaml")));
        var resources = documents.Skip(1).Select(d => new Resource(d.AsObject())).ToList();
        List<Resource> Of(string kind) => [.. resources.Where(r => r.Kind == kind)];
        var mesh = MeshBuilder.Build(new MeshInputs(
            Of("Service"), Of("EndpointSlice"), Of("Pod"), [.. Of("VirtualService").Select(IstioReader.ReadVirtualService)],
            [.. Of("DestinationRule").Select(IstioReader.ReadDestinationRule)], [.. Of("Gateway").Select(IstioReader.ReadGateway)]), MeshSnapshot.Empty);
        return (mesh, [.. documents[0].Texts("proxies")]);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Compiles_to_what_was_reviewed(string name)
    {
        var (mesh, proxies) = Read(name);
        var output = new JsonObject();
        foreach (var proxy in proxies)
        {
            output[proxy] = Show(ProxyCompiler.Compile(mesh, ProxyNode.Parse(proxy)!, Options));
        }

        var actual = YamlWriter.Write(output);
        var golden = Path.Combine(Folder, name + ".golden.yaml");
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            File.WriteAllText(golden, actual);
        }

        Assert.Equal(File.ReadAllText(golden), actual);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_reference_resolves(string name)
    {
        var (mesh, proxies) = Read(name);
        foreach (var proxy in proxies)
        {
            var snapshot = ProxyCompiler.Compile(mesh, ProxyNode.Parse(proxy)!, Options);
            var clusters = snapshot.Of(XdsTypes.Cluster);
            foreach (var cluster in clusters.Values.Select(c => Envoy.Config.Cluster.V3.Cluster.Parser.ParseFrom(c.Value)))
            {
                Assert.True(cluster.Type == Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.Static || snapshot.Of(XdsTypes.Endpoints).ContainsKey(cluster.Name), cluster.Name);
            }

            foreach (var action in snapshot.Of(XdsTypes.Route).Values.SelectMany(r => Envoy.Config.Route.V3.RouteConfiguration.Parser.ParseFrom(r.Value).VirtualHosts)
                .SelectMany(h => h.Routes).Select(r => r.Route_).OfType<Envoy.Config.Route.V3.RouteAction>())
            {
                var names = action.Cluster.Length > 0 ? [action.Cluster] : action.WeightedClusters.Clusters.Select(c => c.Name);
                Assert.All(names, n => Assert.True(clusters.ContainsKey(n), n));
            }
        }
    }

    [Fact]
    public void Equal_inputs_share_their_parts()
    {
        var (mesh, proxies) = Read("canary");
        var (again, _) = Read("canary");

        Assert.Equal(
            ProxyCompiler.Compile(mesh, ProxyNode.Parse(proxies[0])!, Options).Of(XdsTypes.Cluster).ToImmutableSortedDictionary(p => p.Key, p => p.Value.Version),
            ProxyCompiler.Compile(again, ProxyNode.Parse(proxies[0])!, Options).Of(XdsTypes.Cluster).ToImmutableSortedDictionary(p => p.Key, p => p.Value.Version));
    }

    static JsonObject Show(XdsSnapshot snapshot)
    {
        var formatter = new JsonFormatter(new JsonFormatter.Settings(false, Types).WithPreserveProtoFieldNames(true));
        var result = new JsonObject();
        foreach (var (type, parser) in new (string, Func<ByteString, IMessage>)[]
        {
            (XdsTypes.Cluster, b => Envoy.Config.Cluster.V3.Cluster.Parser.ParseFrom(b)),
            (XdsTypes.Endpoints, b => Envoy.Config.Endpoint.V3.ClusterLoadAssignment.Parser.ParseFrom(b)),
            (XdsTypes.Listener, b => Envoy.Config.Listener.V3.Listener.Parser.ParseFrom(b)),
            (XdsTypes.Route, b => Envoy.Config.Route.V3.RouteConfiguration.Parser.ParseFrom(b)),
        })
        {
            result[type[(type.LastIndexOf('.') + 1)..]] = new JsonArray(
                [.. snapshot.Of(type).OrderBy(r => r.Key, StringComparer.Ordinal).Select(r => JsonNode.Parse(formatter.Format(parser(r.Value.Value))))]);
        }

        return result;
    }
}
