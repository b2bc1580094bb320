using System.Text;
using Envoy.Config.Trace.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Type.Tracing.V3;
using Envoy.Type.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Tracing;
using Weir.Xds;

namespace Weir.Proxy.Configuration;

/// <summary>Which requests are traced, and who is sent the spans.</summary>
static class TracingTranslator
{
    const uint WholeShare = 1_000_000;
    const uint LongestPathTag = 4096;

    /// <summary>Where spans go, and under which name.</summary>
    sealed record Collector(SpanProtocol Protocol, string Cluster, string Path, string Host, string Service);

    public static TracingOptions? Translate(string owner, HttpConnectionManager.Types.Tracing? tracing, Translation translation, Reading reading)
    {
        if (tracing is null)
        {
            return null;
        }

        var field = $"{owner}: tracing";
        if (tracing.Provider?.TypedConfig is not { } provider)
        {
            reading.NotCarriedOut($"{field} without a provider", true);
            return null;
        }

        reading.NotCarriedOut($"{field}.client_sampling", tracing.ClientSampling is not null);
        reading.NotCarriedOut($"{field}.max_path_tag_length above {LongestPathTag}", tracing.MaxPathTagLength > LongestPathTag);
        var collector = CollectorOf(field, provider, reading);
        var self = translation.Self;
        return new TracingOptions(
            collector.Protocol, translation.Clusters.Slot(collector.Cluster), collector.Path, collector.Host,
            collector.Service.Length > 0 ? collector.Service : $"{self.App}.{self.Namespace}",
            Share($"{field}.random_sampling", tracing.RandomSampling), Share($"{field}.overall_sampling", tracing.OverallSampling),
            (int)Math.Min(tracing.MaxPathTagLength ?? 256, LongestPathTag), [.. tracing.CustomTags.Select(t => Tag(field, t))]);
    }

    static SpanTag Tag(string field, CustomTag tag)
    {
        _ = Common.Name($"{field}.custom_tags.tag", tag.Tag);
        return tag.TypeCase switch
        {
            CustomTag.TypeOneofCase.Literal => new SpanTag(tag.Tag, tag.Literal.Value, []),
            CustomTag.TypeOneofCase.Environment => new SpanTag(tag.Tag, Environment.GetEnvironmentVariable(Common.Name($"{field}.custom_tags.environment.name", tag.Environment.Name)) ?? tag.Environment.DefaultValue, []),
            CustomTag.TypeOneofCase.RequestHeader => new SpanTag(tag.Tag, tag.RequestHeader.DefaultValue, Encoding.ASCII.GetBytes(Common.Name($"{field}.custom_tags.request_header.name", tag.RequestHeader.Name).ToLowerInvariant())),
            _ => throw new ConfigException($"{field}.custom_tags: the type of {tag.Tag} is not supported"),
        };
    }

    static Collector CollectorOf(string field, Any provider, Reading reading)
    {
        switch (provider.TypeUrl)
        {
            case XdsTypes.OpenTelemetry:
                var otlp = OpenTelemetryConfig.Parser.ParseFrom(provider.Value);
                if (otlp.GrpcService is not null || otlp.HttpService?.HttpUri is not { } uri)
                {
                    throw new ConfigException($"{field}: OpenTelemetry is supported over http_service alone, not over grpc_service");
                }

                if (otlp.HttpService.RequestHeadersToAdd.Count > 0)
                {
                    throw new ConfigException($"{field}: http_service.request_headers_to_add is not supported");
                }

                reading.NotCarriedOut($"{field}: http_uri.timeout", uri.Timeout is not null);
                var url = Uri.TryCreate(uri.Uri, UriKind.Absolute, out var parsed) ? parsed : throw new ConfigException($"{field}: \"{uri.Uri}\" is no URL");
                return new Collector(SpanProtocol.Otlp, Common.Name($"{field}: http_uri.cluster", uri.Cluster), url.AbsolutePath == "/" ? "/v1/traces" : url.PathAndQuery, url.Authority, otlp.ServiceName);
            case XdsTypes.Zipkin:
                // Each side of a call has a span of its own, with an id of 128 bits.
                var zipkin = ZipkinConfig.Parser.ParseFrom(provider.Value);
                reading.NotCarriedOut($"{field}: shared_span_context", zipkin.SharedSpanContext == true);
                var cluster = Common.Name($"{field}: collector_cluster", zipkin.CollectorCluster);
                return new Collector(SpanProtocol.Zipkin, cluster, UrlParts.Path($"{field}: collector_endpoint", zipkin.CollectorEndpoint) is { Length: > 0 } path ? path : "/api/v2/spans",
                    UrlParts.Authority($"{field}: collector_hostname", zipkin.CollectorHostname) is { Length: > 0 } host ? host : cluster, "");
            default:
                throw new ConfigException($"{field}: provider {provider.TypeUrl} is not supported");
        }
    }

    /// <summary>In millionths; everything when not given, as Envoy.</summary>
    static uint Share(string field, Percent? percent) => percent is null ? WholeShare
        : percent.Value is >= 0 and <= 100 ? (uint)Math.Round(percent.Value * 10_000) : throw new ConfigException($"{field}: {percent.Value} is not 0 to 100");
}
