using Envoy.Config.Core.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Configuration;
using Weir.Proxy.Http2;
using Weir.Proxy.LoadBalancing;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;
using HttpProtocolOptions = Envoy.Extensions.Upstreams.Http.V3.HttpProtocolOptions;
using XdsCluster = Envoy.Config.Cluster.V3.Cluster;

namespace Weir.Proxy.Tests;

/// <summary>Which version of HTTP is spoken, from the messages that say so.</summary>
public class UpstreamProtocolTests
{
    static UpstreamHttpOptions Translate(Action<XdsCluster> configure)
    {
        var cluster = BuildCluster("c", [1]);
        configure(cluster);
        return UpstreamProtocolTranslator.Translate("cluster c", cluster, new Reading());
    }

    static Action<XdsCluster> Typed(HttpProtocolOptions options) => c => c.TypedExtensionProtocolOptions["o"] = Pack(XdsTypes.HttpProtocolOptions, options);

    static readonly Http2ProtocolOptions Ten = new() { MaxConcurrentStreams = 10 };

    public static TheoryData<string, UpstreamProtocol, int> Ways => new()
    {
        { "nothing", UpstreamProtocol.Http1, 100 },
        { "empty", UpstreamProtocol.Http1, 100 },
        { "explicit empty", UpstreamProtocol.Http1, 100 },
        { "explicit 1", UpstreamProtocol.Http1, 100 },
        { "explicit 2", UpstreamProtocol.Http2, 10 },
        { "auto", UpstreamProtocol.Alpn, 10 },
        { "auto empty", UpstreamProtocol.Alpn, 100 },
        { "downstream", UpstreamProtocol.Downstream, 10 },
        { "older", UpstreamProtocol.Http2, 10 },
        { "older beside", UpstreamProtocol.Http1, 100 },
    };

    [Theory]
    [MemberData(nameof(Ways))]
    public void The_protocol_is_the_one_that_the_options_name(string way, UpstreamProtocol protocol, int streams)
    {
        var http = Translate(way switch
        {
            "nothing" => _ => { }
            ,
            "empty" => Typed(new HttpProtocolOptions()),
            "explicit empty" => Typed(new HttpProtocolOptions { ExplicitHttpConfig = new() }),
            "explicit 1" => Typed(new HttpProtocolOptions { ExplicitHttpConfig = new() { HttpProtocolOptions = new() } }),
            "explicit 2" => Typed(new HttpProtocolOptions { ExplicitHttpConfig = new() { Http2ProtocolOptions = Ten } }),
            "auto" => Typed(new HttpProtocolOptions { AutoConfig = new() { Http2ProtocolOptions = Ten } }),
            "auto empty" => Typed(new HttpProtocolOptions { AutoConfig = new() }),
            "downstream" => Typed(new HttpProtocolOptions { UseDownstreamProtocolConfig = new() { Http2ProtocolOptions = Ten } }),
            "older" => c => c.Http2ProtocolOptions = Ten,
            _ => c =>
            {
                c.Http2ProtocolOptions = Ten;
                Typed(new HttpProtocolOptions())(c);
            }
            ,
        }).Http;

        Assert.Equal((protocol, streams), (http.Protocol, http.Http2.MaximumConcurrentStreams));
    }

    [Fact]
    public void All_options_of_http2_are_read()
    {
        var message = new Http2ProtocolOptions
        {
            HpackTableSize = 1,
            MaxConcurrentStreams = 2,
            InitialStreamWindowSize = 65_536,
            InitialConnectionWindowSize = 65_537,
            AllowConnect = true,
            MaxOutboundFrames = 3,
            MaxOutboundControlFrames = 4,
            MaxConsecutiveInboundFramesWithEmptyPayload = 5,
            MaxInboundPriorityFramesPerStream = 6,
            MaxInboundWindowUpdateFramesPerDataFrameSent = 7,
            OverrideStreamErrorOnInvalidHttpMessage = true,
            ConnectionKeepalive = new KeepaliveSettings
            {
                Interval = Duration.FromTimeSpan(TimeSpan.FromSeconds(8)),
                Timeout = Duration.FromTimeSpan(TimeSpan.FromSeconds(9)),
                ConnectionIdleInterval = Duration.FromTimeSpan(TimeSpan.FromSeconds(10)),
            },
        };

        Assert.Equal(
            new Http2Options
            {
                HpackTableBytes = 1,
                MaximumConcurrentStreams = 2,
                StreamWindowBytes = 65_536,
                ConnectionWindowBytes = 65_537,
                AllowsConnect = true,
                MaximumOutboundControlFrames = 4,
                MaximumEmptyFrames = 5,
                MaximumWindowUpdatesPerDataFrame = 7,
                PingIntervalMilliseconds = 8000,
                PingTimeoutMilliseconds = 9000,
            },
            HttpProtocolTranslator.Http2("f", message, new Reading()));
        Assert.Same(Http2Options.Default, HttpProtocolTranslator.Http2("f", null, new Reading()));
        Assert.Equal(Http2Options.Default, HttpProtocolTranslator.Http2("f", new Http2ProtocolOptions(), new Reading()));
    }

    public static TheoryData<Http2ProtocolOptions, string> OutOfBounds => new()
    {
        { new Http2ProtocolOptions { MaxConcurrentStreams = 0 }, "f.max_concurrent_streams: 0 is not 1 to 2147483647" },
        { new Http2ProtocolOptions { MaxConcurrentStreams = uint.MaxValue }, "f.max_concurrent_streams: 4294967295 is not" },
        { new Http2ProtocolOptions { InitialStreamWindowSize = 65_534 }, "f.initial_stream_window_size: 65534 is not 65535 to 2147483647" },
        { new Http2ProtocolOptions { InitialConnectionWindowSize = uint.MaxValue }, "f.initial_connection_window_size: " },
        { new Http2ProtocolOptions { HpackTableSize = uint.MaxValue }, "f.hpack_table_size: " },
        { new Http2ProtocolOptions { MaxOutboundControlFrames = 0 }, "f.max_outbound_control_frames: " },
        { new Http2ProtocolOptions { MaxInboundWindowUpdateFramesPerDataFrameSent = 0 }, "f.max_inbound_window_update_frames_per_data_frame_sent: " },
        { new Http2ProtocolOptions { ConnectionKeepalive = new() }, "f.connection_keepalive.timeout: it must be more than 0" },
    };

    [Theory]
    [MemberData(nameof(OutOfBounds))]
    public void Options_out_of_bounds_are_refused(Http2ProtocolOptions options, string reason) =>
        Assert.StartsWith(reason, Assert.Throws<ConfigException>(() => HttpProtocolTranslator.Http2("f", options, new Reading())).Message);

    [Fact]
    public async Task To_agree_on_a_protocol_takes_tls()
    {
        await using var proxy = new ProxyHarness();
        var auto = Typed(new HttpProtocolOptions { AutoConfig = new() });

        Assert.Contains("auto_config needs a transport socket", proxy.Cluster("c", [1], auto));
        Assert.Null(proxy.Cluster("c", [1], c =>
        {
            auto(c);
            c.TransportSocket = ProxyHarness.Upstream(new UpstreamTlsContext());
        }));
        Assert.Equal(UpstreamProtocol.Alpn, proxy.Engine.Clusters.Slot("c").Current!.Http.Protocol);
    }
}
