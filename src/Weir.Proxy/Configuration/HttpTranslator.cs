using System.Text;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Http;
using Weir.Proxy.Http2;
using Weir.Proxy.Listeners;
using Weir.Proxy.Routing;
using RouteKinds = Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager.RouteSpecifierOneofCase;
using XdsCodec = Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager.Types.CodecType;

namespace Weir.Proxy.Configuration;

/// <summary>How a filter chain serves HTTP.</summary>
/// <param name="routes">The slot of a route table, for chains that name one.</param>
sealed class HttpTranslator(Translation translation, Func<string, RouteSlot> routes, Reading reading)
{
    const int DefaultConnectionIdle = 3600_000;
    const int DefaultHeadTime = 60_000;
    const int DefaultDelayedClose = 1000;
    const uint LargestHeadKilobytes = 8192;

    public HttpOptions Translate(string owner, HttpConnectionManager http, bool isInbound)
    {
        HttpProtocolTranslator.CheckCommon($"{owner}: common_http_protocol_options", http.CommonHttpProtocolOptions);
        NameIgnored(owner, http);
        reading.NotCarriedOut($"{owner}: http2_protocol_options.connection_keepalive of a listener", http.Http2ProtocolOptions?.ConnectionKeepalive is not null);
        var common = http.CommonHttpProtocolOptions;
        var certificate = http.SetCurrentClientCertDetails;
        return new HttpOptions
        {
            Routes = Routes(owner, http),
            Codec = Codec(owner, http.CodecType),
            Http2 = HttpProtocolTranslator.Http2($"{owner}: http2_protocol_options", http.Http2ProtocolOptions, reading),
            IsEdge = http.UseRemoteAddress ?? translation.Self.IsGateway,
            AppendsForwardedFor = !http.SkipXffAppend,
            ClientCertificate = (ClientCertificateForwarding)(int)http.ForwardClientCertDetails,
            ForwardsSubject = certificate?.Subject == true,
            ForwardsUri = certificate?.Uri == true,
            ForwardsDns = certificate?.Dns == true,
            GeneratesRequestId = http.GenerateRequestId != false,
            Via = Via(owner, http.Via),
            AccessLogs = AccessLogTranslator.Translate(owner, http.AccessLog, translation),
            Tracing = TracingTranslator.Translate(owner, http.Tracing, translation, reading),
            IsInbound = isInbound,
            Filters = FilterTable.Translate(owner, http, reading),
            Upgrades = http.UpgradeConfigs.Where(u => u.Enabled != false).Select(u => Common.Name($"{owner}: upgrade_configs.upgrade_type", u.UpgradeType).ToLowerInvariant()).ToHashSet(),
            StreamIdleMilliseconds = Common.Milliseconds(http.StreamIdleTimeout, HttpOptions.DefaultStreamIdle),
            ConnectionIdleMilliseconds = Common.Milliseconds(common?.IdleTimeout, DefaultConnectionIdle),
            MaximumConnectionMilliseconds = Common.Milliseconds(common?.MaxConnectionDuration, 0),
            MaximumRequestsPerConnection = (int)Math.Min(common?.MaxRequestsPerConnection ?? 0, int.MaxValue),
            MaximumHeaders = MaximumHeaders(owner, common?.MaxHeadersCount),
            RequestMilliseconds = Common.Milliseconds(http.RequestTimeout, 0),
            HeadMilliseconds = Common.Milliseconds(http.RequestHeadersTimeout, DefaultHeadTime),
            DelayedCloseMilliseconds = Common.Milliseconds(http.DelayedCloseTimeout, DefaultDelayedClose),
            MaximumHeadBytes = MaximumHeadBytes(owner, http.MaxRequestHeadersKb),
        };
    }

    /// <summary>Fields that change what clients or upstreams see, but not whom a request reaches or who may send it.</summary>
    void NameIgnored(string owner, HttpConnectionManager http)
    {
        reading.NotCarriedOut($"{owner}: xff_num_trusted_hops", http.XffNumTrustedHops > 0);
        reading.NotCarriedOut($"{owner}: server_name", http.ServerName.Length > 0);
        reading.NotCarriedOut($"{owner}: set_current_client_cert_details.cert", http.SetCurrentClientCertDetails?.Cert == true);
        reading.NotCarriedOut($"{owner}: set_current_client_cert_details.chain", http.SetCurrentClientCertDetails?.Chain == true);
    }

    RouteSlot Routes(string owner, HttpConnectionManager http)
    {
        switch (http.RouteSpecifierCase)
        {
            case RouteKinds.Rds:
                Common.CheckSource($"{owner}: rds.config_source", http.Rds.ConfigSource);
                return routes(Common.Name($"{owner}: rds.route_config_name", http.Rds.RouteConfigName));
            case RouteKinds.RouteConfig:
                return new RouteSlot("") { Current = new RouteTranslator(translation.Clusters).Translate(http.RouteConfig, reading) };
            default:
                throw new ConfigException($"{owner}: neither rds nor route_config is given");
        }
    }

    static HttpCodec Codec(string owner, XdsCodec codec)
    {
        return codec switch
        {
            XdsCodec.Auto => HttpCodec.Auto,
            XdsCodec.Http1 => HttpCodec.Http1,
            XdsCodec.Http2 => HttpCodec.Http2,
            _ => throw new ConfigException($"{owner}: codec_type {codec} is not supported"),
        };
    }

    /// <summary>With the version that a proxy names there (RFC 9110 section 7.6.3).</summary>
    static byte[] Via(string owner, string via) => via.All(c => c is >= ' ' and <= '~') ? Encoding.ASCII.GetBytes(via.Length > 0 ? $"1.1 {via}" : "")
        : throw new ConfigException($"{owner}: via: a control character, or one beyond ASCII, is in it");

    static int MaximumHeaders(string owner, uint? count) => count is 0 or > HeaderList.Maximum
        ? throw new ConfigException($"{owner}: common_http_protocol_options.max_headers_count: {count} is not 1 to {HeaderList.Maximum}")
        : (int)(count ?? HeaderList.Maximum);

    static int MaximumHeadBytes(string owner, uint? kilobytes) => kilobytes is 0 or > LargestHeadKilobytes
        ? throw new ConfigException($"{owner}: max_request_headers_kb: {kilobytes} is not 1 to {LargestHeadKilobytes}")
        : kilobytes is { } given ? (int)given * 1024 : HttpOptions.DefaultHeadBytes;
}
