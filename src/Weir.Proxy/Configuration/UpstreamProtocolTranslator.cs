using Envoy.Extensions.Upstreams.Http.V3;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Http2;
using Weir.Proxy.LoadBalancing;
using Weir.Xds;
using CommonOptions = Envoy.Config.Core.V3.HttpProtocolOptions;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Configuration;

/// <summary>How HTTP is spoken to a cluster. Times are milliseconds.</summary>
/// <param name="MaximumRequests">On one connection; 0 for no limit.</param>
sealed record UpstreamHttpOptions(UpstreamHttp Http, int IdleMilliseconds, int MaximumRequests);

/// <summary>Both ways to say it: <c>typed_extension_protocol_options</c>, and the older fields of the cluster itself.</summary>
static class UpstreamProtocolTranslator
{
    /// <summary>Shorter than the idle limits of common servers, so that it is this side that closes.</summary>
    const int DefaultIdle = 55_000;

    public static UpstreamHttpOptions Translate(string owner, XdsCluster cluster, Reading reading)
    {
        HttpProtocolOptions? options = null;
        foreach (var (name, any) in cluster.TypedExtensionProtocolOptions)
        {
            options = any.TypeUrl == XdsTypes.HttpProtocolOptions && options is null ? HttpProtocolOptions.Parser.ParseFrom(any.Value)
                : throw new ConfigException($"{owner}: typed_extension_protocol_options {name} is not supported");
        }

        // The newer way is alone where it is used, as in Envoy.
        reading.NotCarriedOut($"{owner}: common_http_protocol_options beside typed_extension_protocol_options", options is not null && cluster.CommonHttpProtocolOptions is not null);
        reading.NotCarriedOut($"{owner}: http_protocol_options beside typed_extension_protocol_options", options is not null && cluster.HttpProtocolOptions is not null);
        reading.NotCarriedOut($"{owner}: http2_protocol_options beside typed_extension_protocol_options", options is not null && cluster.Http2ProtocolOptions is not null);
        var (field, common) = options is null ? ($"{owner}: common_http_protocol_options", cluster.CommonHttpProtocolOptions)
            : ($"{owner}: typed_extension_protocol_options: common_http_protocol_options", options.CommonHttpProtocolOptions);
        CheckCommon(field, common, reading);
        var idle = Common.Milliseconds(common?.IdleTimeout, DefaultIdle);
        var requests = common?.MaxRequestsPerConnection ?? cluster.MaxRequestsPerConnection ?? 0;
        var http = options is not null ? Http($"{owner}: typed_extension_protocol_options", options, reading)
            : cluster.Http2ProtocolOptions is null ? UpstreamHttp.Http1
            : new UpstreamHttp(UpstreamProtocol.Http2, HttpProtocolTranslator.Http2($"{owner}: http2_protocol_options", cluster.Http2ProtocolOptions, reading));
        return new UpstreamHttpOptions(http, idle == 0 ? int.MaxValue : idle, (int)Math.Min(requests, int.MaxValue));
    }

    static UpstreamHttp Http(string field, HttpProtocolOptions options, Reading reading)
    {
        switch (options.UpstreamProtocolOptionsCase)
        {
            case HttpProtocolOptions.UpstreamProtocolOptionsOneofCase.UseDownstreamProtocolConfig:
                return Of($"{field}: use_downstream_protocol_config", UpstreamProtocol.Downstream, options.UseDownstreamProtocolConfig.Http2ProtocolOptions, reading);
            case HttpProtocolOptions.UpstreamProtocolOptionsOneofCase.AutoConfig:
                return Of($"{field}: auto_config", UpstreamProtocol.Alpn, options.AutoConfig.Http2ProtocolOptions, reading);
            default:
                // Nothing said is HTTP/1.1.
                return options.ExplicitHttpConfig?.Http2ProtocolOptions is { } http2
                    ? Of($"{field}: explicit_http_config", UpstreamProtocol.Http2, http2, reading) : UpstreamHttp.Http1;
        }
    }

    static UpstreamHttp Of(string field, UpstreamProtocol protocol, Envoy.Config.Core.V3.Http2ProtocolOptions? options, Reading reading)
    {
        return new UpstreamHttp(protocol, HttpProtocolTranslator.Http2($"{field}.http2_protocol_options", options, reading));
    }

    static void CheckCommon(string field, CommonOptions? common, Reading reading)
    {
        HttpProtocolTranslator.CheckCommon(field, common);
        reading.NotCarriedOut($"{field}.max_connection_duration", common?.MaxConnectionDuration is not null);
        if (common?.MaxHeadersCount > Proxy.Http.HeaderList.Maximum)
        {
            throw new ConfigException($"{field}.max_headers_count: more than {Proxy.Http.HeaderList.Maximum} are not supported");
        }

        reading.NotCarriedOut($"{field}.max_headers_count, less than {Proxy.Http.HeaderList.Maximum},", common?.MaxHeadersCount < Proxy.Http.HeaderList.Maximum);
    }
}
