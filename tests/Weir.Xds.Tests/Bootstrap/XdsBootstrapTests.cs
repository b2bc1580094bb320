using System.Text;
using System.Text.Json.Nodes;
using Weir.Proxy.Tests;
using Weir.Xds.Bootstrap;
using Weir.Xds.Client;
using Weir.Xds.Transport;

namespace Weir.Xds.Tests.Bootstrap;

public sealed class XdsBootstrapTests
{
    const string Small = """
        {
          "node": { "id": "edge-1", "cluster": "edge", "locality": { "region": "r", "zone": "z", "subZone": "s" },
            "metadata": { "text": "a", "number": 1.5, "list": [true, null, {"x": {}}] } },
          "dynamic_resources": {
            "ads_config": { "api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
              "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds" } }] },
            "cds_config": { "ads": {}, "resource_api_version": "V3" },
            "lds_config": { "ads": {}, "resource_api_version": "V3" }
          },
          "static_resources": { "clusters": [{
            "name": "xds", "type": "STRICT_DNS", "connect_timeout": "1.5s",
            "load_assignment": { "cluster_name": "xds", "endpoints": [{ "lb_endpoints": [
              { "endpoint": { "address": { "socket_address": { "address": "xds.test", "port_value": 18000 } } } } ] }] },
            "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              "explicit_http_config": { "http2_protocol_options": { "connection_keepalive": { "interval": "20s", "timeout": "4s" } } } } }
          }] },
          "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 15000 } } }
        }
        """;

    const string Cluster = "static_resources.clusters.0";
    const string Ads = "dynamic_resources.ads_config";
    const string Service = $"{Ads}.grpc_services.0";

    const string Tls = """
        { "name": "tls", "typed_config": { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": "xds.test",
          "common_tls_context": { "alpn_protocols": ["h2"], "tls_params": { "tls_minimum_protocol_version": "TLSv1_3" }, "validation_context": { "trusted_ca": { "inline_string": "CA" },
            "match_typed_subject_alt_names": [{ "san_type": "URI", "matcher": { "prefix": "spiffe://mesh/" } }, { "san_type": "DNS", "matcher": { "exact": "a", "ignore_case": true } }] } } } }
        """;

    static readonly string Authority = MakeAuthority();

    static string MakeAuthority()
    {
        using var authority = new TestCertificates();
        return authority.AuthorityPem.ReplaceLineEndings("\\n");
    }

    /// <summary>The small file with changes: <c>path=json</c>, or <c>path=</c> to leave something out.</summary>
    static string With(params string[] changes)
    {
        var root = JsonNode.Parse(Small)!;
        foreach (var change in changes)
        {
            var (path, json) = (change[..change.IndexOf('=')].Split('.'), change[(change.IndexOf('=') + 1)..]);
            var node = path[..^1].Aggregate(root, (n, step) => int.TryParse(step, out var index) ? n[index]! : n[step]!);
            if (json.Length == 0)
            {
                node.AsObject().Remove(path[^1]);
            }
            else if (int.TryParse(path[^1], out var index))
            {
                node.AsArray()[index] = JsonNode.Parse(json);
            }
            else
            {
                node[path[^1]] = JsonNode.Parse(json);
            }
        }

        return root.ToJsonString();
    }

    static XdsBootstrap Parse(string json, string? id = null, string? cluster = null) => XdsBootstrap.Parse(Encoding.UTF8.GetBytes(json), id, cluster);

    [Fact]
    public void A_file_says_who_the_proxy_is_and_where_its_configuration_comes_from()
    {
        var read = Parse(Small);

        Assert.Equal(("edge-1", "edge", "r/z/s"), (read.Node.Id, read.Node.Cluster, $"{read.Node.Locality.Region}/{read.Node.Locality.Zone}/{read.Node.Locality.SubZone}"));
        Assert.Equal("a", read.Node.Metadata.Fields["text"].StringValue);
        Assert.Equal(1.5, read.Node.Metadata.Fields["number"].NumberValue);
        Assert.Equal(3, read.Node.Metadata.Fields["list"].ListValue.Values.Count);
        Assert.Equal([XdsAddress.Tcp("xds.test", 18000)], read.Server.Addresses);
        Assert.Equal(("xds", TimeSpan.FromSeconds(1.5)), (read.Server.Authority, read.Server.ConnectTimeout));
        Assert.Null(read.Server.Tls);
        Assert.Equal((AdsVariant.Incremental, 20, 4), (read.Client.Variant, read.Client.KeepAlive.Interval.TotalSeconds, read.Client.KeepAlive.Timeout.TotalSeconds));
        Assert.Equal(("127.0.0.1", 15000), read.Admin);
        Assert.Empty(read.Warnings);
    }

    [Fact]
    public void The_command_line_goes_before_the_file()
    {
        var read = Parse(With("node="), "me", "mine");

        Assert.Equal(("me", "mine"), (read.Node.Id, read.Node.Cluster));
        Assert.Equal(("me", "edge"), (Parse(Small, "me").Node.Id, Parse(Small, "me").Node.Cluster));
    }

    [Fact]
    public void Tls_is_read_whole()
    {
        var read = Parse(With($"{Cluster}.transport_socket={Tls.Replace("CA", Authority, StringComparison.Ordinal)}"));

        Assert.Equal(("xds.test", "xds.test"), (read.Server.Tls!.ServerName, read.Server.Authority));
        Assert.Equal(System.Security.Authentication.SslProtocols.Tls13, read.Server.Tls.Protocols);
        Assert.Equal(
            [
                new SubjectNameMatcher(SubjectNameKind.Uri, SubjectNameMatch.Prefix, "spiffe://mesh/", false),
                new SubjectNameMatcher(SubjectNameKind.Dns, SubjectNameMatch.Exact, "a", true),
            ],
            read.Server.Tls.SubjectNames);
    }

    [Theory]
    [InlineData("\"xds.test:443\"", "xds.test:443")]
    [InlineData("\"dns:///xds.test:1\"", "xds.test:1")]
    [InlineData("\"ipv6:[::1]:5\"", "[::1]:5")]
    [InlineData("\"unix:///run/xds.sock\"", "unix:/run/xds.sock")]
    [InlineData("\"unix:xds.sock\"", "unix:xds.sock")]
    public void Targets_of_gRPC_are_understood(string uri, string address) =>
        Assert.Equal(address, Parse(With($"{Service}={{\"google_grpc\": {{\"target_uri\": {uri}}}}}")).Server.Addresses.Single().ToString());

    [Fact]
    public void A_token_and_metadata_go_with_the_request()
    {
        var read = Parse(With($$"""
            {{Service}}={"google_grpc": {"target_uri": "a:1", "channel_credentials": {"ssl_credentials": {} }, "call_credentials": [{"access_token": "t"}] },
              "initial_metadata": [{"key": "X-A", "value": "b"}]}
            """));

        Assert.Equal([("authorization", "Bearer t"), ("x-a", "b")], read.Server.Metadata);
        Assert.NotNull(read.Server.Tls);
    }

    [Theory]
    [InlineData("GRPC", AdsVariant.StateOfTheWorld)]
    [InlineData("AGGREGATED_GRPC", AdsVariant.StateOfTheWorld)]
    [InlineData("AGGREGATED_DELTA_GRPC", AdsVariant.Incremental)]
    public void The_variant_is_what_the_api_type_says(string type, AdsVariant variant) =>
        Assert.Equal(variant, Parse(With($"{Ads}.api_type=\"{type}\"")).Client.Variant);

    [Theory]
    [InlineData("layered_runtime={\"layers\": []}", "layered_runtime: ignored")]
    [InlineData($"{Cluster}.lb_policy=\"ROUND_ROBIN\"", "static_resources.clusters[0].lb_policy: ignored")]
    [InlineData("admin.access_log_path=\"/dev/null\"", "admin.access_log_path: ignored")]
    [InlineData($"{Service}.timeout=\"1s\"", "dynamic_resources.ads_config.grpc_services[0].timeout: ignored")]
    public void What_is_not_carried_out_is_named(string change, string warning) => Assert.Equal([warning], Parse(With(change)).Warnings);

    [Theory]
    [InlineData("node.id=", "node.id: missing (--service-node can give it)")]
    [InlineData("node.id=5", "node.id: must be a string")]
    [InlineData("node=[]", "node: must be an object")]
    [InlineData("node.idd=\"a\"", "node.idd: not supported")]
    [InlineData("extra=1", "extra: not supported")]
    [InlineData("dynamic_resources=", "dynamic_resources.ads_config: missing")]
    [InlineData($"{Ads}.transport_api_version=\"V2\"", "dynamic_resources.ads_config: transport_api_version must be V3, not \"V2\"")]
    [InlineData($"{Ads}.api_type=\"REST\"", "dynamic_resources.ads_config: api_type must be DELTA_GRPC or GRPC, not \"REST\"")]
    [InlineData("dynamic_resources.lds_config={\"path\": \"/x\"}", "dynamic_resources.lds_config: must have \"ads\": no other source is supported")]
    [InlineData($"{Service}.envoy_grpc.cluster_name=\"y\"", "grpc_services[0].envoy_grpc: cluster_name: there is no static cluster \"y\"")]
    [InlineData($"{Service}={{}}", "grpc_services[0]: must have envoy_grpc or google_grpc")]
    [InlineData($"{Service}={{\"google_grpc\": {{\"target_uri\": \"xds:///a\"}}}}", "target_uri: \"xds:///a\" is not HOST:PORT, dns:///HOST:PORT or unix:PATH")]
    [InlineData($"{Service}={{\"google_grpc\": {{\"target_uri\": \"a:1\", \"call_credentials\": [{{\"access_token\": \"t\"}}]}}}}", "call_credentials[0]: a token is not sent in the clear")]
    [InlineData($"{Cluster}.type=\"EDS\"", "static_resources.clusters[0]: type must be STATIC, STRICT_DNS or LOGICAL_DNS, not \"EDS\"")]
    [InlineData($"{Cluster}.type=\"STATIC\"", "static_resources.clusters[0]: \"xds.test\" is not an IP address; type STRICT_DNS looks names up")]
    [InlineData($"{Cluster}.typed_extension_protocol_options=", "static_resources.clusters[0]: xDS needs HTTP/2")]
    [InlineData($"{Cluster}.load_assignment=", "static_resources.clusters[0]: load_assignment has no endpoint with an address")]
    [InlineData($"{Cluster}.load_assignment.endpoints.0.lb_endpoints.0.endpoint.address.socket_address.port_value=70000", "socket_address.port_value: must be a number from 0 to 65535")]
    [InlineData($"{Cluster}.connect_timeout=\"5\"", "static_resources.clusters[0].connect_timeout: must be a duration")]
    [InlineData($"{Cluster}.transport_socket={{\"typed_config\": {{\"@type\": \"x\"}}}}", "typed_config: @type must be type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, not \"x\"")]
    [InlineData($"{Cluster}.transport_socket={{\"typed_config\": {{\"@type\": \"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\"}}}}", "trusted_ca is missing: without it anybody could be the control plane")]
    [InlineData($"{Cluster}.transport_socket={Tls}", "typed_config: what is given inline has no certificate in PEM to trust")]
    [InlineData("static_resources.listeners=[{}]", "static_resources.listeners[0]: listeners are not supported here")]
    public void What_is_wrong_is_named_with_its_path(string change, string error) =>
        Assert.Contains(error, Assert.Throws<FormatException>(() => Parse(With(change))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("", "line 1, byte 1: not JSON")]
    [InlineData("{\n  \"node\": {,\n}", "line 2, byte 12: not JSON")]
    [InlineData("node: {}", "line 1, byte 2: not JSON")]
    [InlineData("[]", "the file must be a JSON object")]
    [InlineData("{\"node\": {\"id\": \"a\", \"id\": \"b\"}}", "node.id: is there twice")]
    public void What_is_no_such_file_is_refused(string text, string error) =>
        Assert.Contains(error, Assert.Throws<FormatException>(() => Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void All_that_is_wrong_is_said_at_once()
    {
        var message = Assert.Throws<FormatException>(() => Parse(With("node.id=", "extra=1", $"{Cluster}.type=\"EDS\""))).Message;

        Assert.Equal(3, message.Split("; ").Length);
    }

    [Fact]
    public void A_file_that_is_not_there_is_named() =>
        Assert.Equal("/nonexistent/b.json: there is no such file", Assert.Throws<FormatException>(() => XdsBootstrap.Load("/nonexistent/b.json", null, null)).Message);
}
