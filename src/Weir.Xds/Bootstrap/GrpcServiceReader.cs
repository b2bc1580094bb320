using Weir.Xds.Transport;

namespace Weir.Xds.Bootstrap;

/// <summary>Where configuration comes from, and what is said about connections to it.</summary>
/// <param name="Cluster">The name of the cluster that says it; null when the service says it itself.</param>
sealed record GrpcTarget(
    string? Cluster, XdsServer Server, TimeSpan? PingInterval, TimeSpan? PingTimeout, TimeSpan? FirstBackoff = null, TimeSpan? MaximumBackoff = null);

/// <summary>Reads a <c>GrpcService</c>, and the static cluster that it names.</summary>
sealed class GrpcServiceReader(IReadOnlyDictionary<string, JsonField> clusters)
{
    public GrpcTarget? Read(JsonField service)
    {
        var target = service.Object("envoy_grpc") is { } envoy ? ReadEnvoyGrpc(envoy)
            : service.Object("google_grpc") is { } google ? ReadGoogleGrpc(google)
            : Missing(service);
        var metadata = ReadMetadata(service);
        service.Ignore("timeout");
        service.Close();
        return target is null ? null : target with { Server = target.Server with { Metadata = [.. target.Server.Metadata, .. metadata] } };
    }

    static GrpcTarget? Missing(JsonField service)
    {
        service.Error("must have envoy_grpc or google_grpc");
        return null;
    }

    static List<(string Name, string Value)> ReadMetadata(JsonField service)
    {
        var metadata = new List<(string, string)>();
        foreach (var header in service.Objects("initial_metadata"))
        {
            var (name, value) = (header.Text("key").ToLowerInvariant(), header.Text("value"));
            if (name.Length == 0 || !name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.') || !value.All(c => c is >= ' ' and <= '~'))
            {
                header.Error("must have the name of a header as key, and printable ASCII as value");
            }

            metadata.Add((name, value));
            header.Close();
        }

        return metadata;
    }

    GrpcTarget? ReadEnvoyGrpc(JsonField envoy)
    {
        var name = envoy.Text("cluster_name");
        var authority = envoy.Text("authority");
        TimeSpan? first = null;
        TimeSpan? most = null;
        if (envoy.Object("retry_policy") is { } retry)
        {
            if (retry.Object("retry_back_off") is { } backoff)
            {
                first = backoff.Duration("base_interval");
                most = backoff.Duration("max_interval") ?? first * 10;
                backoff.Close();
            }

            retry.Ignore("num_retries", "retry_on", "retry_priority", "retry_host_predicate", "host_selection_retry_max_attempts");
            retry.Close();
        }

        envoy.Ignore("max_receive_message_length", "skip_envoy_headers");
        envoy.Close();
        if (!clusters.TryGetValue(name, out var cluster))
        {
            envoy.Error($"cluster_name: there is no static cluster \"{name}\"");
            return null;
        }

        return ClusterReader.Read(cluster, name, authority) is { } target ? target with { FirstBackoff = first, MaximumBackoff = most } : null;
    }

    static GrpcTarget? ReadGoogleGrpc(JsonField google)
    {
        var uri = google.Text("target_uri");
        var address = AddressReader.Target(uri);
        if (address is null)
        {
            google.Error($"target_uri: \"{uri}\" is not HOST:PORT, dns:///HOST:PORT or unix:PATH");
        }

        TlsSettings? tls = null;
        if (google.Object("channel_credentials") is { } channel)
        {
            if (channel.Object("ssl_credentials") is { } ssl)
            {
                tls = new TlsSettings
                {
                    TrustedAuthorities = PemReader.Source(ssl, "root_certs"),
                    Certificate = PemReader.Source(ssl, "cert_chain"),
                    PrivateKey = PemReader.Source(ssl, "private_key"),
                };
                TlsReader.CheckFiles(ssl, tls);
                ssl.Close();
            }

            channel.Object("local_credentials")?.Close();
            channel.Close();
        }

        var metadata = ReadCallCredentials(google, tls);
        google.Ignore("stat_prefix", "per_stream_buffer_limit_bytes", "config", "channel_args");
        google.Close();
        return address is null ? null
            : new GrpcTarget(null, new XdsServer([address], tls, address.UnixPath is null ? address.ToString() : "localhost") { Metadata = metadata }, null, null);
    }

    static List<(string, string)> ReadCallCredentials(JsonField google, TlsSettings? tls)
    {
        var metadata = new List<(string, string)>();
        foreach (var credentials in google.Objects("call_credentials"))
        {
            var token = credentials.Text("access_token");
            if (token.Length == 0 || !token.All(c => c is > ' ' and <= '~'))
            {
                credentials.Error("must have an access_token: no other kind is supported");
            }
            else if (tls is null)
            {
                credentials.Error("a token is not sent in the clear: give channel_credentials.ssl_credentials");
            }

            metadata.Add(("authorization", $"Bearer {token}"));
            credentials.Close();
        }

        return metadata;
    }
}
