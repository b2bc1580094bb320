using Google.Protobuf;
using Google.Protobuf.Reflection;
using Weir.Xds;

namespace Weir.Proxy.Tests;

/// <summary>Resources that are taken as they are and have, among them, each message of the proxy's part of xDS in them at least once.</summary>
static class FieldBases
{
    public static readonly IReadOnlyList<FileDescriptor> Files =
        [.. typeof(XdsTypes).Assembly.GetTypes().Select(t => t.GetProperty("Descriptor")?.GetValue(null)).OfType<FileDescriptor>()];

    static readonly JsonParser Json = new(JsonParser.Settings.Default.WithTypeRegistry(TypeRegistry.FromFiles(Files)));

    static readonly Dictionary<string, string> Types = new()
    {
        ["cluster"] = XdsTypes.Cluster,
        ["endpoints"] = XdsTypes.Endpoints,
        ["route"] = XdsTypes.Route,
        ["listener"] = XdsTypes.Listener,
        ["secret"] = XdsTypes.Secret,
    };

    const string Any = "\"@type\": \"type.googleapis.com/envoy.";
    const string Lb = "{\"typedExtensionConfig\": {\"name\": \"p\", \"typedConfig\": {" + Any + "extensions.load_balancing_policies.";
    const string Static = "\"name\": \"NAME\", \"type\": \"STATIC\", \"connectTimeout\": \"1s\"";
    const string Source = "{\"ads\": {}, \"resourceApiVersion\": \"V3\"}";
    const string Slow = "\"slowStartConfig\": {\"slowStartWindow\": \"9s\", \"aggression\": {\"defaultValue\": 2}, \"minWeightPercent\": {\"value\": 20}}";
    const string Http2 = "\"http2ProtocolOptions\": {\"maxConcurrentStreams\": 9, \"connectionKeepalive\": {\"interval\": \"9s\", \"timeout\": \"1s\"}}";
    const string Upstream = "\"typedExtensionProtocolOptions\": {\"o\": {" + Any + "extensions.upstreams.http.v3.HttpProtocolOptions\", ";
    const string Tls = Any + "extensions.transport_sockets.tls.v3.UpstreamTlsContext\", \"sni\": \"a\", \"commonTlsContext\": {CLIENT}";
    const string Metadata = "{\"filterMetadata\": {\"envoy.lb\": {\"v\": \"1\"}}}";

    static readonly (string Kind, string Json)[] Resources =
    [
        ("secret", "{\"name\": \"NAME\", \"tlsCertificate\": CERT}"),
        ("cluster", "{" + Static + ", \"loadAssignment\": ENDPOINTS, \"metadata\": {}, \"commonLbConfig\": {\"localityWeightedLbConfig\": {}}, \"circuitBreakers\": {\"thresholds\": [{\"maxConnections\": 9}]},"
            + "\"lbSubsetConfig\": {\"fallbackPolicy\": \"ANY_ENDPOINT\", \"subsetSelectors\": [{\"keys\": [\"v\"]}]}, \"commonHttpProtocolOptions\": {\"idleTimeout\": \"9s\"}, \"roundRobinLbConfig\": {" + Slow + "}}"),
        ("cluster", "{" + Static + ", \"type\": \"EDS\", \"edsClusterConfig\": {\"edsConfig\": " + Source + ", \"serviceName\": \"resource12\"}, \"httpProtocolOptions\": {}, " + Http2 + "}"),
        ("cluster", "{" + Static + ", \"lbPolicy\": \"LEAST_REQUEST\", \"leastRequestLbConfig\": {\"activeRequestBias\": {\"defaultValue\": 2}, " + Slow + "}}"),
        ("cluster", "{" + Static + ", \"lbPolicy\": \"RING_HASH\", \"ringHashLbConfig\": {\"minimumRingSize\": \"4\"}, \"transportSocket\": {\"name\": \"raw\", \"typedConfig\": {" + Any + "extensions.transport_sockets.raw_buffer.v3.RawBuffer\"}}}"),
        ("cluster", "{" + Static + ", \"lbPolicy\": \"MAGLEV\", \"maglevLbConfig\": {\"tableSize\": \"7\"}, \"transportSocket\": {\"name\": \"pp\", \"typedConfig\": {" + Any
            + "extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport\", \"config\": {}, \"transportSocket\": {\"name\": \"tls\", \"typedConfig\": {" + Tls + "}}}}}"),
        ("cluster", "{" + Static + ", \"loadBalancingPolicy\": {\"policies\": [" + Lb + "round_robin.v3.RoundRobin\", " + Slow + "}}}]}, " + Upstream + "\"commonHttpProtocolOptions\": {}, \"explicitHttpConfig\": {\"httpProtocolOptions\": {}}}}}"),
        ("cluster", "{" + Static + ", \"loadBalancingPolicy\": {\"policies\": [" + Lb + "least_request.v3.LeastRequest\", \"activeRequestBias\": {\"defaultValue\": 2}, " + Slow + "}}}]}, " + Upstream + "\"explicitHttpConfig\": {" + Http2 + "}}}}"),
        ("cluster", "{" + Static + ", \"loadBalancingPolicy\": {\"policies\": [" + Lb + "random.v3.Random\"}}}]}, " + Upstream + "\"useDownstreamProtocolConfig\": {" + Http2 + "}}}}"),
        ("cluster", "{" + Static + ", \"loadBalancingPolicy\": {\"policies\": [" + Lb + "ring_hash.v3.RingHash\", \"minimumRingSize\": \"4\"}}}]}, \"transportSocket\": {\"name\": \"tls\", \"typedConfig\": {" + Tls + "}}, "
            + Upstream + "\"autoConfig\": {" + Http2 + "}}}}"),
        ("cluster", "{" + Static + ", \"loadBalancingPolicy\": {\"policies\": [" + Lb + "maglev.v3.Maglev\", \"tableSize\": \"7\"}}}]}}"),
        ("cluster", "{" + Static + ", \"loadBalancingPolicy\": {\"policies\": [" + Lb + "peak_ewma.v3alpha.PeakEwma\", \"decayTime\": \"1s\"}}}]}}"),
        ("endpoints", "ENDPOINTS"),
        ("route", "ROUTES"),
        ("listener", "{\"name\": \"NAME\", \"address\": ADDRESS, \"trafficDirection\": \"INBOUND\", \"additionalAddresses\": [{\"address\": ADDRESS}], \"listenerFilters\": ["
            + "{\"name\": \"t\", \"filterDisabled\": {\"notMatch\": {\"orMatch\": {\"rules\": [{\"anyMatch\": true}, {\"andMatch\": {\"rules\": [{\"destinationPortRange\": {\"start\": 1, \"end\": 2}}]}}]}}}, \"typedConfig\": {" + Any + "extensions.filters.listener.tls_inspector.v3.TlsInspector\"}},"
            + "{\"name\": \"h\", \"typedConfig\": {" + Any + "extensions.filters.listener.http_inspector.v3.HttpInspector\"}},"
            + "{\"name\": \"p\", \"typedConfig\": {" + Any + "extensions.filters.listener.proxy_protocol.v3.ProxyProtocol\"}}],"
            + "\"filterChains\": [{\"filterChainMatch\": {\"prefixRanges\": [{\"addressPrefix\": \"127.0.0.0\", \"prefixLen\": 8}]}, \"filters\": [{\"name\": \"tcp\", \"typedConfig\": {" + Any
            + "extensions.filters.network.tcp_proxy.v3.TcpProxy\", \"weightedClusters\": {\"clusters\": [{\"name\": \"c\", \"weight\": 1}]}, \"accessLog\": [LOG]}}]}],"
            + "\"defaultFilterChain\": {\"filters\": [{\"name\": \"http\", \"typedConfig\": {" + Any + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\","
            + "\"rds\": {\"configSource\": " + Source + ", \"routeConfigName\": \"r\"}, \"httpFilters\": [{\"name\": \"router\", \"typedConfig\": {" + Any + "extensions.filters.http.router.v3.Router\"}}],"
            + "\"httpProtocolOptions\": {}, \"commonHttpProtocolOptions\": {}, " + Http2 + ", \"setCurrentClientCertDetails\": {}, \"upgradeConfigs\": [{\"upgradeType\": \"websocket\"}], \"accessLog\": [LOG],"
            + "\"tracing\": {\"customTags\": [{\"tag\": \"a\", \"literal\": {\"value\": \"b\"}}, {\"tag\": \"a\", \"environment\": {\"name\": \"b\"}}, {\"tag\": \"a\", \"requestHeader\": {\"name\": \"b\"}}], \"randomSampling\": {\"value\": 1}, \"provider\": {\"name\": \"o\", \"typedConfig\": {" + Any
            + "config.trace.v3.OpenTelemetryConfig\", \"httpService\": {\"httpUri\": {\"uri\": \"http://a/b\", \"cluster\": \"c\"}}}}}}}],"
            + "\"transportSocket\": {\"name\": \"tls\", \"typedConfig\": {" + Any + "extensions.transport_sockets.tls.v3.DownstreamTlsContext\", \"commonTlsContext\": {\"tlsParams\": {}, \"tlsCertificates\": [CERT], \"combinedValidationContext\": "
            + "{\"defaultValidationContext\": {\"trustedCa\": CA, \"matchTypedSubjectAltNames\": [{\"sanType\": \"DNS\", \"matcher\": {\"exact\": \"a\"}}]}}}}}}}"),
        ("listener", "{\"name\": \"NAME\", \"address\": ADDRESS, \"filterChains\": [{\"filters\": [{\"name\": \"http\", \"typedConfig\": {" + Any + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\","
            + "\"routeConfig\": ROUTES, \"tracing\": {\"provider\": {\"name\": \"z\", \"typedConfig\": {" + Any + "config.trace.v3.ZipkinConfig\", \"collectorCluster\": \"c\"}}}}}],"
            + "\"transportSocket\": {\"name\": \"tls\", \"typedConfig\": {" + Any + "extensions.transport_sockets.tls.v3.DownstreamTlsContext\", \"sessionTicketKeys\": {\"keys\": [{\"inlineString\": \"TICKET\"}]}, \"commonTlsContext\": {"
            + "\"tlsCertificateSdsSecretConfigs\": [{\"name\": \"resource0\", \"sdsConfig\": " + Source + "}]}}}}]}"),
    ];

    const string Endpoints = "{\"clusterName\": \"NAME\", \"endpoints\": [{\"locality\": {}, \"loadBalancingWeight\": 1, \"lbEndpoints\": [{\"endpoint\": {\"address\": ADDRESS}, \"metadata\": " + Metadata + "}]}]}";
    const string Log = "{\"name\": \"l\", \"typedConfig\": {" + Any + "extensions.access_loggers.file.v3.FileAccessLog\", \"path\": \"/dev/null\", \"logFormat\": {\"textFormatSource\": {\"inlineString\": \"a\"}}}}";
    const string Changes = "\"requestHeadersToAdd\": [{\"header\": {\"key\": \"x\", \"value\": \"1\"}}]";
    const string Routes = "{\"name\": \"NAME\", \"virtualHosts\": [{\"name\": \"h\", \"domains\": [\"*\"], \"routes\": ["
        + "{\"name\": \"a\", \"match\": {\"safeRegex\": {\"regex\": \"a\"}, \"headers\": [{\"name\": \"x\", \"rangeMatch\": {\"end\": \"1\"}}, {\"name\": \"x\", \"stringMatch\": {\"safeRegex\": {\"regex\": \"a\"}}}], \"queryParameters\": [{\"name\": \"x\", \"stringMatch\": {\"exact\": \"a\"}}]}, " + Changes + ","
        + "\"route\": {\"weightedClusters\": {\"clusters\": [{\"name\": \"c\", \"weight\": 1, \"metadataMatch\": " + Metadata + "}]}, \"hashPolicy\": [{\"header\": {\"headerName\": \"a\"}}, {\"cookie\": {\"name\": \"a\"}}, {\"connectionProperties\": {\"sourceIp\": true}}, {\"queryParameter\": {\"name\": \"a\"}}]}},"
        + "{\"name\": \"b\", \"match\": {\"connectMatcher\": {}}, \"route\": {\"cluster\": \"c\", \"upgradeConfigs\": [{\"upgradeType\": \"CONNECT\", \"connectConfig\": {}}]}},"
        + "{\"name\": \"c\", \"match\": {\"prefix\": \"/\"}, \"redirect\": {\"pathRedirect\": \"/a\"}},"
        + "{\"name\": \"d\", \"match\": {\"prefix\": \"/\"}, \"directResponse\": {\"status\": 200, \"body\": {\"inlineString\": \"a\"}}}]}]}";

    public static IEnumerable<(string Type, string Name, IMessage Message)> All(TestCertificates certificates)
    {
        using var issued = certificates.Issue("a.example");
        var certificate = JsonFormatter.Default.Format(TestCertificates.ToXds(issued));
        var authority = "{\"inlineString\": \"" + certificates.AuthorityPem.Replace("\n", "\\n", StringComparison.Ordinal) + "\"}";
        for (var i = 0; i < Resources.Length; i++)
        {
            var (kind, json) = Resources[i];
            var name = $"resource{i}";
            json = json.Replace("ENDPOINTS", Endpoints, StringComparison.Ordinal).Replace("ROUTES", Routes, StringComparison.Ordinal).Replace("LOG", Log, StringComparison.Ordinal)
                .Replace("CLIENT", "\"validationContext\": {\"trustedCa\": CA}, \"alpnProtocols\": [\"http/1.1\"]", StringComparison.Ordinal)
                .Replace("CERT", certificate, StringComparison.Ordinal).Replace("CA", authority, StringComparison.Ordinal)
                .Replace("NAME", name, StringComparison.Ordinal).Replace("TICKET", new string('k', 80), StringComparison.Ordinal);
            while (json.IndexOf("ADDRESS", StringComparison.Ordinal) is >= 0 and var at)
            {
                json = $"{json[..at]}{{\"socketAddress\": {{\"address\": \"127.0.0.1\", \"portValue\": {ProxyHarness.FreePort()}}}}}{json[(at + 7)..]}";
            }

            var type = Types[kind];
            yield return (type, name, Json.Parse(json, Files.SelectMany(f => f.MessageTypes).Single(m => type.EndsWith("/" + m.FullName, StringComparison.Ordinal))));
        }
    }
}
