namespace Weir.Xds;

/// <summary>Type URLs. They are compared, never resolved: resolving would load every message descriptor.</summary>
public static class XdsTypes
{
    const string Prefix = "type.googleapis.com/";
    const string Balancing = Prefix + "envoy.extensions.load_balancing_policies.";

    public const string Cluster = Prefix + "envoy.config.cluster.v3.Cluster";
    public const string Endpoints = Prefix + "envoy.config.endpoint.v3.ClusterLoadAssignment";
    public const string Listener = Prefix + "envoy.config.listener.v3.Listener";
    public const string Route = Prefix + "envoy.config.route.v3.RouteConfiguration";
    public const string Secret = Prefix + "envoy.extensions.transport_sockets.tls.v3.Secret";

    /// <summary>Wraps a resource where it has to carry more than itself.</summary>
    public const string Wrapper = Prefix + "envoy.service.discovery.v3.Resource";

    public const string HttpConnectionManager = Prefix + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    public const string TcpProxy = Prefix + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    public const string Router = Prefix + "envoy.extensions.filters.http.router.v3.Router";
    public const string FileAccessLog = Prefix + "envoy.extensions.access_loggers.file.v3.FileAccessLog";

    public const string TlsInspector = Prefix + "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
    public const string HttpInspector = Prefix + "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
    public const string ProxyProtocol = Prefix + "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";

    public const string DownstreamTls = Prefix + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    public const string UpstreamTls = Prefix + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    public const string UpstreamProxyProtocol = Prefix + "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
    public const string RawBuffer = Prefix + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

    public const string HttpProtocolOptions = Prefix + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    public const string OpenTelemetry = Prefix + "envoy.config.trace.v3.OpenTelemetryConfig";
    public const string Zipkin = Prefix + "envoy.config.trace.v3.ZipkinConfig";

    public const string RoundRobin = Balancing + "round_robin.v3.RoundRobin";
    public const string LeastRequest = Balancing + "least_request.v3.LeastRequest";
    public const string RandomPolicy = Balancing + "random.v3.Random";
    public const string RingHash = Balancing + "ring_hash.v3.RingHash";
    public const string Maglev = Balancing + "maglev.v3.Maglev";
    public const string PeakEwma = Balancing + "peak_ewma.v3alpha.PeakEwma";

    /// <summary>The order in which a change is pushed, so that nothing is referred to before it is there.</summary>
    public static readonly IReadOnlyList<string> PushOrder = [Secret, Cluster, Endpoints, Listener, Route];
}
