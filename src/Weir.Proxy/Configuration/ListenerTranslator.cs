using System.Text;
using Envoy.Config.AccessLog.V3;
using Envoy.Config.Core.V3;
using Envoy.Config.Listener.V3;
using Envoy.Config.Route.V3;
using Envoy.Config.Trace.V3;
using Envoy.Extensions.AccessLoggers.File.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Extensions.Filters.Network.TcpProxy.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Envoy.Type.V3;
using Google.Protobuf;
using Weir.Proxy.Filters;
using Weir.Proxy.Listeners;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;
using Weir.Proxy.Tracing;
using Weir.Xds;
using AccessLogMessage = Envoy.Config.AccessLog.V3.AccessLog;
using XdsFilterChain = Envoy.Config.Listener.V3.FilterChain;

namespace Weir.Proxy.Configuration;

/// <summary>Listeners from their messages. What is not understood is refused, never ignored.</summary>
/// <param name="routes">The slot of a route table, for chains that name one.</param>
sealed class ListenerTranslator(Translation translation, Func<string, RouteSlot> routes)
{
    const int DefaultInspection = 15_000;
    const int DefaultHandshake = 15_000;
    const uint WholeShare = 1_000_000;

    public ListenerConfiguration Translate(Listener listener, HashSet<string> secrets)
    {
        var owner = $"listener {listener.Name}";
        SocketAddressV4[] addresses = [.. listener.AdditionalAddresses.Select(a => a.Address).Prepend(listener.Address).Select(a => Common.Address(owner, a))];
        if (listener.FilterChains.Count == 0 && listener.DefaultFilterChain is null)
        {
            throw new ConfigException($"{owner}: it has no filter chain");
        }

        var chains = listener.FilterChains.Select((c, i) => Chain($"{owner}, filter chain {(c.Name.Length > 0 ? c.Name : $"[{i}]")}", listener, c, secrets)).ToList();
        var otherwise = listener.DefaultFilterChain is { } last ? Chain($"{owner}, default_filter_chain", listener, last, secrets) : null;
        var table = new FilterChainTable(chains, otherwise);
        var result = new ListenerConfiguration(listener.Name, addresses, table)
        {
            InspectionMilliseconds = Common.Milliseconds(listener.ListenerFiltersTimeout, DefaultInspection) is > 0 and var limit ? limit : int.MaxValue,
            ContinuesOnTimeout = listener.ContinueOnListenerFiltersTimeout,
        };
        foreach (var filter in listener.ListenerFilters)
        {
            var off = Predicate(owner, filter.FilterDisabled);
            result = filter.TypedConfig?.TypeUrl switch
            {
                XdsTypes.TlsInspector => result with { TlsInspectionOff = off },
                XdsTypes.HttpInspector => result with { HttpInspectionOff = off },
                XdsTypes.ProxyProtocol => result with
                {
                    InspectsProxyProtocol = true,
                    AllowsMissingProxyProtocol = Envoy.Extensions.Filters.Listener.ProxyProtocol.V3.ProxyProtocol.Parser.ParseFrom(filter.TypedConfig.Value).AllowRequestsWithoutProxyProtocol,
                },
                var other => throw new ConfigException($"{owner}: listener filter {filter.Name} ({other}) is not supported"),
            };
        }

        // Chains that ask what a client speaks have it found out, whether or not the filter for it was named.
        var asks = table.AsksForContent || table.All.Any(c => c.Tls is { NeedsName: true });
        return asks && result.TlsInspectionOff is null ? result with { TlsInspectionOff = static _ => false } : result;
    }

    static Func<int, bool> Predicate(string owner, ListenerFilterChainMatchPredicate? predicate)
    {
        switch (predicate?.RuleCase)
        {
            case null or ListenerFilterChainMatchPredicate.RuleOneofCase.None:
                return static _ => false;
            case ListenerFilterChainMatchPredicate.RuleOneofCase.AnyMatch:
                return static _ => true;
            case ListenerFilterChainMatchPredicate.RuleOneofCase.DestinationPortRange:
                var range = predicate.DestinationPortRange;
                return port => port >= range.Start && port < range.End;
            case ListenerFilterChainMatchPredicate.RuleOneofCase.NotMatch:
                var inner = Predicate(owner, predicate.NotMatch);
                return port => !inner(port);
            case ListenerFilterChainMatchPredicate.RuleOneofCase.OrMatch:
                var any = predicate.OrMatch.Rules.Select(r => Predicate(owner, r)).ToArray();
                return port => Array.Exists(any, p => p(port));
            default:
                var all = predicate.AndMatch.Rules.Select(r => Predicate(owner, r)).ToArray();
                return port => Array.TrueForAll(all, p => p(port));
        }
    }

    Listeners.FilterChain Chain(string owner, Listener listener, XdsFilterChain chain, HashSet<string> secrets)
    {
        if (chain.Filters.Count != 1)
        {
            throw new ConfigException($"{owner}: exactly one network filter is supported");
        }

        var config = chain.Filters[0].TypedConfig;
        var http = config?.TypeUrl == XdsTypes.HttpConnectionManager ? Http(owner, HttpConnectionManager.Parser.ParseFrom(config.Value)) : null;
        var tcp = config?.TypeUrl == XdsTypes.TcpProxy ? Tcp(owner, TcpProxy.Parser.ParseFrom(config.Value)) : null;
        if (http is null && tcp is null)
        {
            throw new ConfigException($"{owner}: filter {config?.TypeUrl} is not supported");
        }

        var tls = chain.TransportSocket?.TypedConfig?.TypeUrl switch
        {
            null or XdsTypes.RawBuffer => null,
            XdsTypes.DownstreamTls => new TlsTranslator(translation, owner, secrets)
                .Server(DownstreamTlsContext.Parser.ParseFrom(chain.TransportSocket.TypedConfig.Value), allowsHttp2: http is null),
            var other => throw new ConfigException($"{owner}: transport socket {other} is not supported"),
        };
        var handshake = Common.Milliseconds(chain.TransportSocketConnectTimeout, DefaultHandshake);
        return new Listeners.FilterChain(
            listener.Name, chain.Name, XxHash64.Hash(chain.ToByteArray()), Match(owner, chain.FilterChainMatch), tls, handshake == 0 ? DefaultHandshake : handshake, http, tcp, listener.TrafficDirection == TrafficDirection.Inbound);
    }

    static Listeners.FilterChainMatch Match(string owner, Envoy.Config.Listener.V3.FilterChainMatch? match) => match is null ? Listeners.FilterChainMatch.Any : new(
        (int)(match.DestinationPort ?? 0),
        [.. match.PrefixRanges.Select(r => Common.Range(owner, r))],
        [.. match.ServerNames.Select(n => n.ToLowerInvariant())],
        match.TransportProtocol,
        [.. match.ApplicationProtocols],
        match.SourceType switch
        {
            Envoy.Config.Listener.V3.FilterChainMatch.Types.ConnectionSourceType.SameIpOrLoopback => true,
            Envoy.Config.Listener.V3.FilterChainMatch.Types.ConnectionSourceType.External => false,
            _ => null,
        },
        [.. match.SourcePrefixRanges.Select(r => Common.Range(owner, r))],
        [.. match.SourcePorts.Select(p => (int)p)]);

    TcpOptions Tcp(string owner, TcpProxy tcp)
    {
        string? Subset(Metadata? metadata) => Common.Metadata(metadata, "envoy.lb") is { Count: > 0 } labels ? SubsetKey.Of(labels) : null;
        var targets = tcp.ClusterSpecifierCase == TcpProxy.ClusterSpecifierOneofCase.WeightedClusters
            ? tcp.WeightedClusters.Clusters.Where(c => c.Weight > 0).Select(c => (new WeightedTarget(translation.Clusters.Slot(c.Name), HeaderRules.None, Subset(c.MetadataMatch ?? tcp.MetadataMatch)), c.Weight)).ToList()
            : [(new WeightedTarget(translation.Clusters.Slot(tcp.Cluster), HeaderRules.None, Subset(tcp.MetadataMatch)), 1u)];
        if (targets.Count == 0)
        {
            throw new ConfigException($"{owner}: tcp_proxy: no cluster has a weight");
        }

        return new TcpOptions
        {
            Targets = [.. targets.Select(t => t.Item1)],
            Schedule = targets.Count > 1 ? new WeightedSchedule([.. targets.Select(t => t.Item2)]) : null,
            AccessLogs = AccessLogs(owner, tcp.AccessLog),
            IdleMilliseconds = Common.Milliseconds(tcp.IdleTimeout, 3600_000),
            MaximumMilliseconds = Common.Milliseconds(tcp.MaxDownstreamConnectionDuration, 0),
            ConnectAttempts = (int)Math.Clamp(tcp.MaxConnectAttempts ?? 1, 1, 100),
        };
    }

    HttpOptions Http(string owner, HttpConnectionManager http)
    {
        foreach (var filter in http.HttpFilters.Where(f => !f.Disabled && f.TypedConfig?.TypeUrl != XdsTypes.Router && !f.IsOptional))
        {
            throw new ConfigException($"{owner}: HTTP filter {filter.Name} is not supported");
        }

        if (http.CodecType is HttpConnectionManager.Types.CodecType.Http2 or HttpConnectionManager.Types.CodecType.Http3)
        {
            throw new ConfigException($"{owner}: codec_type {http.CodecType} is not supported");
        }

        Common.Check(owner, http.CommonHttpProtocolOptions);
        var slot = http.RouteSpecifierCase switch
        {
            HttpConnectionManager.RouteSpecifierOneofCase.Rds => routes(http.Rds.RouteConfigName),
            HttpConnectionManager.RouteSpecifierOneofCase.RouteConfig =>
                new RouteSlot("") { Current = new RouteTranslator(translation.Clusters).Translate(http.RouteConfig) },
            _ => throw new ConfigException($"{owner}: neither rds nor route_config is given"),
        };
        var common = http.CommonHttpProtocolOptions;
        var certificate = http.SetCurrentClientCertDetails;
        var headKilobytes = http.MaxRequestHeadersKb ?? 0;
        if (common?.MaxHeadersCount > Http1.HeaderList.Maximum)
        {
            throw new ConfigException($"{owner}: max_headers_count: more than {Http1.HeaderList.Maximum} are not supported");
        }

        return new HttpOptions
        {
            Routes = slot,
            IsEdge = http.UseRemoteAddress ?? translation.Self.IsGateway,
            TrustedHops = (int)Math.Min(http.XffNumTrustedHops, 100),
            AppendsForwardedFor = !http.SkipXffAppend,
            ClientCertificate = (ClientCertificateForwarding)(int)http.ForwardClientCertDetails,
            ForwardsSubject = certificate?.Subject == true,
            ForwardsUri = certificate?.Uri == true,
            ForwardsDns = certificate?.Dns == true,
            GeneratesRequestId = http.GenerateRequestId != false,
            Via = Encoding.ASCII.GetBytes(http.Via),
            AccessLogs = AccessLogs(owner, http.AccessLog),
            Tracing = Tracing(owner, http.Tracing),
            Path = new PathRules(http.NormalizePath == true, http.MergeSlashes, http.PathWithEscapedSlashesAction switch
            {
                HttpConnectionManager.Types.PathWithEscapedSlashesAction.RejectRequest => EscapedSlashes.Reject,
                HttpConnectionManager.Types.PathWithEscapedSlashesAction.UnescapeAndRedirect => EscapedSlashes.UnescapeAndRedirect,
                HttpConnectionManager.Types.PathWithEscapedSlashesAction.UnescapeAndForward => EscapedSlashes.UnescapeAndForward,
                _ => EscapedSlashes.Keep,
            }),
            Upgrades = http.UpgradeConfigs.Where(u => u.Enabled != false).Select(u => u.UpgradeType.ToLowerInvariant()).ToHashSet(),
            StreamIdleMilliseconds = Common.Milliseconds(http.StreamIdleTimeout, HttpOptions.DefaultStreamIdle),
            ConnectionIdleMilliseconds = Common.Milliseconds(common?.IdleTimeout, 3600_000),
            MaximumConnectionMilliseconds = Common.Milliseconds(common?.MaxConnectionDuration, 0),
            MaximumRequestsPerConnection = (int)Math.Min(common?.MaxRequestsPerConnection ?? 0, int.MaxValue),
            MaximumHeaders = (int)(common?.MaxHeadersCount ?? Http1.HeaderList.Maximum),
            RequestMilliseconds = Common.Milliseconds(http.RequestTimeout, 0),
            HeadMilliseconds = Common.Milliseconds(http.RequestHeadersTimeout, 60_000),
            DelayedCloseMilliseconds = Common.Milliseconds(http.DelayedCloseTimeout, 1000),
            MaximumHeadBytes = headKilobytes > 0 ? (int)Math.Min(headKilobytes, 8192) * 1024 : HttpOptions.DefaultHeadBytes,
        };
    }

    Telemetry.AccessLog[] AccessLogs(string owner, IEnumerable<AccessLogMessage> logs) => [.. logs.Select(log =>
    {
        if (log.TypedConfig?.TypeUrl != XdsTypes.FileAccessLog)
        {
            throw new ConfigException($"{owner}: access log {log.Name} is not supported");
        }

        if (log.Filter is not null)
        {
            throw new ConfigException($"{owner}: access log {log.Name}: filter is not supported");
        }

        var file = FileAccessLog.Parser.ParseFrom(log.TypedConfig.Value);
        if (file.LogFormat?.OmitEmptyValues == true)
        {
            throw new ConfigException($"{owner}: access log {log.Name}: omit_empty_values is not supported");
        }

        try
        {
            return new Telemetry.AccessLog(Format(owner, file), translation.LogFiles.Open(file.Path), translation.Loops);
        }
        catch (Exception e) when (e is FormatException or IOException)
        {
            throw new ConfigException($"{owner}: access log {log.Name}: {e.Message}");
        }
    })];

    static AccessLogFormat Format(string owner, FileAccessLog file) => file.AccessLogFormatCase switch
    {
        FileAccessLog.AccessLogFormatOneofCase.Format => AccessLogFormat.Text(file.Format),
        FileAccessLog.AccessLogFormatOneofCase.JsonFormat => AccessLogFormat.Json(file.JsonFormat),
        FileAccessLog.AccessLogFormatOneofCase.TypedJsonFormat => AccessLogFormat.Json(file.TypedJsonFormat),
        FileAccessLog.AccessLogFormatOneofCase.LogFormat => file.LogFormat.FormatCase switch
        {
            SubstitutionFormatString.FormatOneofCase.TextFormat => AccessLogFormat.Text(file.LogFormat.TextFormat),
            SubstitutionFormatString.FormatOneofCase.JsonFormat => AccessLogFormat.Json(file.LogFormat.JsonFormat),
            SubstitutionFormatString.FormatOneofCase.TextFormatSource =>
                AccessLogFormat.Text(Encoding.UTF8.GetString(Common.Bytes(file.LogFormat.TextFormatSource, $"{owner}: text_format_source"))),
            _ => AccessLogFormat.Text(AccessLogFormat.Default),
        },
        _ => AccessLogFormat.Text(AccessLogFormat.Default),
    };

    TracingOptions? Tracing(string owner, HttpConnectionManager.Types.Tracing? tracing)
    {
        if (tracing?.Provider?.TypedConfig is not { } provider)
        {
            return null;
        }

        var tags = tracing.CustomTags.Select(t => new SpanTag(t.Tag, t.TypeCase switch
        {
            Envoy.Type.Tracing.V3.CustomTag.TypeOneofCase.Literal => t.Literal.Value,
            Envoy.Type.Tracing.V3.CustomTag.TypeOneofCase.Environment => Environment.GetEnvironmentVariable(t.Environment.Name) ?? t.Environment.DefaultValue,
            Envoy.Type.Tracing.V3.CustomTag.TypeOneofCase.RequestHeader => t.RequestHeader.DefaultValue,
            _ => throw new ConfigException($"{owner}: custom tag {t.Tag} is not supported"),
        }, Encoding.ASCII.GetBytes(t.RequestHeader?.Name.ToLowerInvariant() ?? ""))).ToList();
        var (protocol, cluster, path, host, service) = Collector(owner, provider);
        return new TracingOptions(
            protocol, translation.Clusters.Slot(cluster), path, host, service.Length > 0 ? service : $"{translation.Self.App}.{translation.Self.Namespace}",
            Share(tracing.RandomSampling), Share(tracing.OverallSampling), (int)Math.Min(tracing.MaxPathTagLength ?? 256, 4096), tags);
    }

    static (SpanProtocol Protocol, string Cluster, string Path, string Host, string Service) Collector(string owner, Google.Protobuf.WellKnownTypes.Any provider)
    {
        switch (provider.TypeUrl)
        {
            case XdsTypes.OpenTelemetry:
                var otlp = OpenTelemetryConfig.Parser.ParseFrom(provider.Value);
                var uri = otlp.HttpService?.HttpUri ?? throw new ConfigException($"{owner}: tracing: OpenTelemetry is supported over http_service alone");
                var url = Uri.TryCreate(uri.Uri, UriKind.Absolute, out var parsed) ? parsed : throw new ConfigException($"{owner}: tracing: \"{uri.Uri}\" is no URL");
                return (SpanProtocol.Otlp, uri.Cluster, url.AbsolutePath == "/" ? "/v1/traces" : url.PathAndQuery, url.Authority, otlp.ServiceName);
            case XdsTypes.Zipkin:
                var zipkin = ZipkinConfig.Parser.ParseFrom(provider.Value);
                return (SpanProtocol.Zipkin, zipkin.CollectorCluster, zipkin.CollectorEndpoint.Length > 0 ? zipkin.CollectorEndpoint : "/api/v2/spans",
                    zipkin.CollectorHostname.Length > 0 ? zipkin.CollectorHostname : zipkin.CollectorCluster, "");
            default:
                throw new ConfigException($"{owner}: tracing: provider {provider.TypeUrl} is not supported");
        }
    }

    /// <summary>In millionths; everything when not given, as Envoy.</summary>
    static uint Share(Percent? percent) => percent is null ? WholeShare : (uint)Math.Round(Math.Clamp(percent.Value, 0, 100) * 10_000);
}
