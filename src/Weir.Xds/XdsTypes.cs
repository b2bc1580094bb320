namespace Weir.Xds;

/// <summary>Type URLs. They are compared, never resolved: resolving would load every message descriptor.</summary>
public static class XdsTypes
{
    const string Prefix = "type.googleapis.com/";

    public const string Cluster = Prefix + "envoy.config.cluster.v3.Cluster";
    public const string Endpoints = Prefix + "envoy.config.endpoint.v3.ClusterLoadAssignment";
    public const string Listener = Prefix + "envoy.config.listener.v3.Listener";
    public const string Route = Prefix + "envoy.config.route.v3.RouteConfiguration";
    public const string HttpConnectionManager = Prefix + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    public const string TcpProxy = Prefix + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    public const string Router = Prefix + "envoy.extensions.filters.http.router.v3.Router";
    public const string FileAccessLog = Prefix + "envoy.extensions.access_loggers.file.v3.FileAccessLog";

    /// <summary>The order in which a change is pushed, so that nothing is referred to before it is there.</summary>
    public static readonly IReadOnlyList<string> PushOrder = [Cluster, Endpoints, Listener, Route];
}
