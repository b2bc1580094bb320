namespace Weir.Proxy.Tests;

/// <summary>The fields of the proxy's part of xDS that nothing has to be said of.</summary>
static class FieldTable
{
    /// <summary>Names for people and for counters of another proxy's: nothing is found or decided by them.</summary>
    const string Labels = """
        AccessLog.name ClusterLoadAssignment.cluster_name Filter.name HttpConnectionManager.stat_prefix HttpFilter.name ListenerFilter.name
        Locality.region Locality.sub_zone Locality.zone LocalityLbEndpoints.locality RouteConfiguration.name Secret.name TcpProxy.stat_prefix
        Tracing.Http.name TransportSocket.name TypedExtensionConfig.name
        """;

    /// <summary>Done whether or not they ask for it.</summary>
    const string Always = """
        DownstreamTlsContext.disable_stateful_session_resumption Http1ProtocolOptions.accept_http_10 Http1ProtocolOptions.enable_trailers
        Router.suppress_envoy_headers ZipkinConfig.trace_id_128bit
        """;

    /// <summary>Carried out, as tests of their own show; those that have values that are not are refused or remarked on for these.</summary>
    const string CarriedOut = """
        Address.socket_address LbEndpoint.endpoint SocketAddress.port_value
        AccessLog.typed_config CertificateValidationContext.allow_expired_certificate CertificateValidationContext.crl
        CertificateValidationContext.trust_chain_verification CidrRange.prefix_len CircuitBreakers.Thresholds.max_connections
        CircuitBreakers.Thresholds.max_pending_requests CircuitBreakers.Thresholds.max_requests CircuitBreakers.thresholds
        Cluster.CommonLbConfig.healthy_panic_threshold Cluster.CommonLbConfig.locality_weighted_lb_config Cluster.EdsClusterConfig.service_name
        Cluster.LbSubsetConfig.LbSubsetSelector.keys Cluster.LbSubsetConfig.fallback_policy Cluster.LbSubsetConfig.subset_selectors
        Cluster.LeastRequestLbConfig.active_request_bias Cluster.LeastRequestLbConfig.choice_count Cluster.LeastRequestLbConfig.slow_start_config
        Cluster.MaglevLbConfig.table_size Cluster.RingHashLbConfig.maximum_ring_size Cluster.RingHashLbConfig.minimum_ring_size
        Cluster.RoundRobinLbConfig.slow_start_config Cluster.SlowStartConfig.min_weight_percent Cluster.SlowStartConfig.slow_start_window
        Cluster.circuit_breakers Cluster.common_http_protocol_options Cluster.common_lb_config Cluster.connect_timeout Cluster.eds_cluster_config
        Cluster.http_protocol_options Cluster.http2_protocol_options HttpConnectionManager.http2_protocol_options
        HttpProtocolOptions.AutoHttpConfig.http2_protocol_options HttpProtocolOptions.ExplicitHttpConfig.http2_protocol_options
        HttpProtocolOptions.UseDownstreamHttpConfig.http2_protocol_options HttpProtocolOptions.auto_config
        HttpProtocolOptions.use_downstream_protocol_config Cluster.lb_policy Cluster.lb_subset_config Cluster.least_request_lb_config Cluster.load_assignment
        Cluster.maglev_lb_config Cluster.max_requests_per_connection Cluster.metadata Cluster.ring_hash_lb_config Cluster.round_robin_lb_config
        Cluster.type ClusterLoadAssignment.endpoints CommonTlsContext.CombinedCertificateValidationContext.default_validation_context
        CommonTlsContext.CombinedCertificateValidationContext.validation_context_sds_secret_config CommonTlsContext.alpn_protocols
        CommonTlsContext.combined_validation_context CommonTlsContext.tls_certificate_sds_secret_configs CommonTlsContext.tls_certificates
        CommonTlsContext.tls_params CommonTlsContext.validation_context CommonTlsContext.validation_context_sds_secret_config ConfigSource.ads
        ConfigSource.resource_api_version ConfigSource.self CustomTag.Environment.default_value CustomTag.Environment.name
        CustomTag.Header.default_value CustomTag.Header.name CustomTag.Literal.value CustomTag.literal CustomTag.tag DataSource.environment_variable
        DataSource.filename DataSource.inline_bytes DataSource.inline_string DirectResponseAction.body
        DownstreamTlsContext.disable_stateless_session_resumption DownstreamTlsContext.require_client_certificate DownstreamTlsContext.require_sni
        DownstreamTlsContext.session_ticket_keys DownstreamTlsContext.session_timeout FileAccessLog.format FileAccessLog.json_format
        FileAccessLog.log_format FileAccessLog.path FileAccessLog.typed_json_format Filter.typed_config FilterChain.filter_chain_match
        FilterChain.filters FilterChain.name FilterChain.transport_socket_connect_timeout FilterChainMatch.application_protocols
        FilterChainMatch.destination_port FilterChainMatch.prefix_ranges FilterChainMatch.server_names FilterChainMatch.source_ports
        FilterChainMatch.source_prefix_ranges FilterChainMatch.source_type HeaderMatcher.contains_match HeaderMatcher.exact_match
        HeaderMatcher.invert_match HeaderMatcher.name HeaderMatcher.prefix_match HeaderMatcher.present_match HeaderMatcher.range_match
        HeaderMatcher.suffix_match HeaderMatcher.treat_missing_header_as_empty HeaderValue.key HeaderValue.value HeaderValueOption.append
        HeaderValueOption.append_action HeaderValueOption.keep_empty_value Http2ProtocolOptions.allow_connect Http2ProtocolOptions.hpack_table_size
        Http2ProtocolOptions.max_concurrent_streams Http2ProtocolOptions.max_consecutive_inbound_frames_with_empty_payload
        Http2ProtocolOptions.max_inbound_priority_frames_per_stream Http2ProtocolOptions.max_inbound_window_update_frames_per_data_frame_sent
        Http2ProtocolOptions.max_outbound_control_frames Http2ProtocolOptions.max_outbound_frames
        Http2ProtocolOptions.override_stream_error_on_invalid_http_message Http2ProtocolOptions.stream_error_on_invalid_http_messaging
        HttpConnectionManager.SetCurrentClientCertDetails.dns HttpConnectionManager.SetCurrentClientCertDetails.subject
        HttpConnectionManager.SetCurrentClientCertDetails.uri HttpConnectionManager.Tracing.max_path_tag_length
        HttpConnectionManager.Tracing.overall_sampling HttpConnectionManager.Tracing.random_sampling HttpConnectionManager.UpgradeConfig.enabled
        HttpConnectionManager.UpgradeConfig.upgrade_type HttpConnectionManager.access_log HttpConnectionManager.codec_type
        HttpConnectionManager.common_http_protocol_options HttpConnectionManager.delayed_close_timeout
        HttpConnectionManager.forward_client_cert_details HttpConnectionManager.generate_request_id HttpConnectionManager.http_filters
        HttpConnectionManager.http_protocol_options HttpConnectionManager.max_request_headers_kb HttpConnectionManager.merge_slashes
        HttpConnectionManager.normalize_path HttpConnectionManager.path_with_escaped_slashes_action HttpConnectionManager.request_headers_timeout
        HttpConnectionManager.request_timeout HttpConnectionManager.route_config HttpConnectionManager.set_current_client_cert_details
        HttpConnectionManager.skip_xff_append HttpConnectionManager.stream_idle_timeout HttpConnectionManager.use_remote_address
        HttpConnectionManager.via HttpConnectionManager.xff_num_trusted_hops HttpFilter.disabled HttpFilter.is_optional HttpFilter.typed_config
        HttpProtocolOptions.AutoHttpConfig.http_protocol_options HttpProtocolOptions.ExplicitHttpConfig.http_protocol_options
        HttpProtocolOptions.UseDownstreamHttpConfig.http_protocol_options HttpProtocolOptions.common_http_protocol_options
        HttpProtocolOptions.explicit_http_config HttpProtocolOptions.idle_timeout HttpProtocolOptions.max_connection_duration
        HttpProtocolOptions.max_headers_count HttpProtocolOptions.max_requests_per_connection HttpService.http_uri HttpUri.cluster HttpUri.uri
        Int32Range.end Int32Range.start Int64Range.end Int64Range.start KeepaliveSettings.connection_idle_interval KeepaliveSettings.interval
        KeepaliveSettings.timeout LbEndpoint.health_status LbEndpoint.load_balancing_weight LbEndpoint.metadata LeastRequest.active_request_bias
        LeastRequest.choice_count LeastRequest.slow_start_config Listener.additional_addresses Listener.continue_on_listener_filters_timeout
        Listener.default_filter_chain Listener.filter_chains Listener.listener_filters Listener.listener_filters_timeout Listener.traffic_direction
        ListenerFilter.filter_disabled ListenerFilter.typed_config ListenerFilterChainMatchPredicate.MatchSet.rules
        ListenerFilterChainMatchPredicate.and_match ListenerFilterChainMatchPredicate.any_match
        ListenerFilterChainMatchPredicate.destination_port_range ListenerFilterChainMatchPredicate.not_match
        ListenerFilterChainMatchPredicate.or_match LoadBalancingPolicy.Policy.typed_extension_config LoadBalancingPolicy.policies
        LocalityLbEndpoints.lb_endpoints LocalityLbEndpoints.load_balancing_weight LocalityLbEndpoints.priority Maglev.table_size
        Metadata.filter_metadata OpenTelemetryConfig.service_name PeakEwma.decay_time Percent.value
        ProxyProtocol.allow_requests_without_proxy_protocol ProxyProtocolConfig.version ProxyProtocolUpstreamTransport.config
        QueryParameterMatcher.name QueryParameterMatcher.present_match Rds.route_config_name RedirectAction.host_redirect RedirectAction.port_redirect
        RedirectAction.response_code RegexMatcher.regex RingHash.hash_function RingHash.maximum_ring_size RingHash.minimum_ring_size
        RoundRobin.slow_start_config Route.name Route.redirect Route.request_headers_to_remove Route.response_headers_to_remove
        RouteAction.HashPolicy.ConnectionProperties.source_ip RouteAction.HashPolicy.Cookie.name RouteAction.HashPolicy.Cookie.path
        RouteAction.HashPolicy.Cookie.ttl RouteAction.HashPolicy.Header.header_name RouteAction.HashPolicy.QueryParameter.name
        RouteAction.HashPolicy.connection_properties RouteAction.HashPolicy.terminal RouteAction.UpgradeConfig.connect_config
        RouteAction.UpgradeConfig.enabled RouteAction.UpgradeConfig.upgrade_type RouteAction.cluster RouteAction.host_rewrite_literal
        RouteAction.idle_timeout RouteAction.metadata_match RouteAction.timeout RouteAction.weighted_clusters
        RouteConfiguration.ignore_port_in_host_matching RouteConfiguration.virtual_hosts RouteMatch.case_sensitive RouteMatch.connect_matcher
        RouteMatch.path RouteMatch.prefix RuntimeDouble.default_value SdsSecretConfig.name Secret.tls_certificate Secret.validation_context
        SlowStartConfig.min_weight_percent SlowStartConfig.slow_start_window StringMatcher.contains StringMatcher.exact StringMatcher.ignore_case
        StringMatcher.prefix StringMatcher.suffix SubjectAltNameMatcher.san_type SubstitutionFormatString.json_format
        SubstitutionFormatString.text_format SubstitutionFormatString.text_format_source TcpProxy.WeightedCluster.ClusterWeight.metadata_match
        TcpProxy.WeightedCluster.ClusterWeight.name TcpProxy.WeightedCluster.ClusterWeight.weight TcpProxy.WeightedCluster.clusters
        TcpProxy.access_log TcpProxy.cluster TcpProxy.idle_timeout TcpProxy.max_connect_attempts TcpProxy.max_downstream_connection_duration
        TcpProxy.metadata_match TcpProxy.weighted_clusters TlsCertificate.certificate_chain TlsCertificate.private_key
        TlsParameters.tls_maximum_protocol_version TlsParameters.tls_minimum_protocol_version Tracing.Http.typed_config TransportSocket.typed_config
        TypedExtensionConfig.typed_config UpstreamTlsContext.common_tls_context UpstreamTlsContext.max_session_keys UpstreamTlsContext.sni
        VirtualHost.domains VirtualHost.name VirtualHost.routes WeightedCluster.ClusterWeight.metadata_match WeightedCluster.ClusterWeight.name
        WeightedCluster.ClusterWeight.request_headers_to_remove WeightedCluster.ClusterWeight.response_headers_to_remove
        WeightedCluster.ClusterWeight.weight WeightedCluster.clusters ZipkinConfig.collector_cluster ZipkinConfig.collector_hostname
        ZipkinConfig.shared_span_context
        """;

    public static readonly IReadOnlySet<string> Keys = $"{Labels} {Always} {CarriedOut}".Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).ToHashSet();
}
