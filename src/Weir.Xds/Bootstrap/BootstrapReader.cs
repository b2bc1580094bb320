using System.Text.Json;
using Envoy.Config.Core.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Xds.Client;
using Weir.Xds.Http2;

namespace Weir.Xds.Bootstrap;

/// <summary>The file as a whole: the node, how it gets its configuration, and administration.</summary>
sealed class BootstrapReader(Findings findings)
{
    public XdsBootstrap? Read(JsonField file, string? nodeId, string? nodeCluster)
    {
        if (file.Json.ValueKind != JsonValueKind.Object)
        {
            findings.Errors.Add("the file must be a JSON object");
            return null;
        }

        var node = ReadNode(file.Object("node"), nodeId, nodeCluster);
        var clusters = Clusters(file.Object("static_resources"));
        var service = ReadDynamic(file.Object("dynamic_resources"), out var variant);
        var admin = ReadAdmin(file.Object("admin"));
        file.Ignore(
            "layered_runtime", "runtime", "stats_sinks", "stats_config", "stats_flush_interval", "stats_flush_on_admin", "watchdog", "watchdogs", "tracing",
            "overload_manager", "cluster_manager", "flags_path", "hds_config", "default_config_source", "default_socket_interface", "bootstrap_extensions",
            "enable_dispatcher_stats", "header_prefix", "use_tcp_for_dns_lookups", "dns_resolution_config", "typed_dns_resolver_config", "fatal_actions",
            "node_context_params", "inline_headers", "perf_tracing_file_path", "default_regex_engine", "memory_allocator_manager", "application_log_config");
        file.Close();

        var target = service is null ? null : new GrpcServiceReader(clusters).Read(service);
        foreach (var (name, cluster) in clusters.Where(c => c.Key != target?.Cluster))
        {
            cluster.Warn($"ignored: \"{name}\" is not the cluster that configuration comes from");
        }

        return target is null ? null : new XdsBootstrap(
            node, target.Server,
            new AdsClientOptions
            {
                Variant = variant,
                KeepAlive = new KeepAliveOptions(
                    target.PingInterval ?? KeepAliveOptions.Default.Interval, target.PingTimeout ?? KeepAliveOptions.Default.Timeout),
                FirstBackoff = target.FirstBackoff ?? new AdsClientOptions().FirstBackoff,
                MaximumBackoff = target.MaximumBackoff ?? new AdsClientOptions().MaximumBackoff,
            },
            admin, findings.Warnings);
    }

    Node ReadNode(JsonField? field, string? id, string? cluster)
    {
        var node = new Node { Id = id ?? field?.Text("id") ?? "", Cluster = cluster ?? field?.Text("cluster") ?? "", UserAgentName = "weir-proxy" };
        if (node.Id.Length == 0)
        {
            findings.Errors.Add("node.id: missing (--service-node can give it)");
        }

        if (field is null)
        {
            return node;
        }

        // What the command line has overridden has not been read.
        field.Find("id");
        field.Find("cluster");
        if (field.Object("metadata") is { } metadata)
        {
            node.Metadata = StructOf(metadata.Json);
        }

        if (field.Object("locality") is { } locality)
        {
            node.Locality = new Locality { Region = locality.Text("region"), Zone = locality.Text("zone"), SubZone = locality.Text("sub_zone") };
            locality.Close();
        }

        field.Ignore("user_agent_name", "user_agent_version", "user_agent_build_version", "extensions", "client_features", "listening_addresses", "dynamic_parameters");
        field.Close();
        return node;
    }

    /// <summary>Not by protobuf's own JSON parser, which would load every message descriptor.</summary>
    static Struct StructOf(JsonElement json)
    {
        var result = new Struct();
        foreach (var property in json.EnumerateObject())
        {
            result.Fields[property.Name] = ValueOf(property.Value);
        }

        return result;
    }

    static Value ValueOf(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Object => new Value { StructValue = StructOf(json) },
        JsonValueKind.Array => new Value { ListValue = new ListValue { Values = { json.EnumerateArray().Select(ValueOf) } } },
        JsonValueKind.String => new Value { StringValue = json.GetString()! },
        JsonValueKind.Number => new Value { NumberValue = json.GetDouble() },
        JsonValueKind.True or JsonValueKind.False => new Value { BoolValue = json.GetBoolean() },
        _ => new Value { NullValue = NullValue.NullValue },
    };

    static Dictionary<string, JsonField> Clusters(JsonField? resources)
    {
        var clusters = new Dictionary<string, JsonField>();
        foreach (var cluster in resources?.Objects("clusters") ?? [])
        {
            var name = cluster.Text("name");
            if (name.Length == 0)
            {
                cluster.Error("has no name");
            }
            else if (!clusters.TryAdd(name, cluster))
            {
                cluster.Error($"there is another with the name \"{name}\"");
            }
        }

        foreach (var kind in new[] { "listeners", "secrets" })
        {
            if (resources?.List(kind) is [var field, ..])
            {
                field.Error($"{kind} are not supported here: they come from the control plane");
            }
        }

        resources?.Close();
        return clusters;
    }

    /// <returns>The service that configuration comes from.</returns>
    JsonField? ReadDynamic(JsonField? dynamic, out AdsVariant variant)
    {
        variant = AdsVariant.Incremental;
        if (dynamic?.Object("ads_config") is not { } ads)
        {
            findings.Errors.Add("dynamic_resources.ads_config: missing");
            return null;
        }

        foreach (var name in new[] { "cds_config", "lds_config" })
        {
            if (dynamic.Object(name) is { } source)
            {
                CheckSource(source);
            }
        }

        dynamic.Close();
        variant = ReadVariant(ads);
        RequireV3(ads, "transport_api_version");
        ads.Ignore("refresh_delay", "request_timeout", "rate_limit_settings", "config_validators");

        // It is always so.
        ads.Flag("set_node_on_first_message_only");
        var services = ads.Objects("grpc_services");
        ads.Close();
        if (services.Count != 1)
        {
            ads.Error("grpc_services must have one service");
        }

        return services.Count > 0 ? services[0] : null;
    }

    static AdsVariant ReadVariant(JsonField ads)
    {
        switch (ads.Text("api_type"))
        {
            case "DELTA_GRPC" or "AGGREGATED_DELTA_GRPC":
                return AdsVariant.Incremental;
            case "GRPC" or "AGGREGATED_GRPC":
                return AdsVariant.StateOfTheWorld;
            case var other:
                ads.Error($"api_type must be DELTA_GRPC or GRPC, not \"{other}\"");
                return default;
        }
    }

    static void CheckSource(JsonField source)
    {
        if (source.Object("ads") is not { } ads)
        {
            source.Error("must have \"ads\": no other source is supported");
        }
        else
        {
            ads.Close();
        }

        if (source.Has("resource_api_version"))
        {
            RequireV3(source, "resource_api_version");
        }

        source.Ignore("initial_fetch_timeout");
        source.Close();
    }

    static void RequireV3(JsonField field, string name)
    {
        if (field.Text(name) is var version and not "V3")
        {
            field.Error($"{name} must be V3, not \"{version}\"");
        }
    }

    static (string Host, int Port)? ReadAdmin(JsonField? admin)
    {
        if (admin is null)
        {
            return null;
        }

        (string, int)? address = null;
        if (admin.Object("address") is { } outer)
        {
            address = AddressReader.Socket(outer);
            outer.Close();
        }

        admin.Ignore("access_log", "access_log_path", "profile_path", "ignore_global_conn_limit", "socket_options");
        admin.Close();
        return address;
    }
}
