using System.Text.Json.Nodes;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Listener.V3;
using Envoy.Config.Route.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Configuration;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Xds;
using Weir.Xds.Client;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

public class UnknownFieldsTests
{
    /// <summary>A field 999 behind whatever is there already.</summary>
    static T Newer<T>(T message, MessageParser<T> parser)
        where T : IMessage<T> => parser.ParseFrom([.. message.ToByteArray(), .. Field(999, "new")]);

    static byte[] Field(int number, string text)
    {
        using var bytes = new MemoryStream();
        var output = new CodedOutputStream(bytes);
        output.WriteTag(number, WireFormat.WireType.LengthDelimited);
        output.WriteString(text);
        output.Flush();
        return bytes.ToArray();
    }

    static RouteConfiguration Table(Func<Route, Route> change)
    {
        var host = new VirtualHost { Name = "h", Routes = { change(To("first")), change(To("second")) } };
        return new RouteConfiguration { Name = "r", VirtualHosts = { host } };
    }

    [Fact]
    public void Nothing_is_said_of_what_is_known() =>
        Assert.Empty(UnknownFields.In(XdsTypes.Route, Table(r => r).ToByteString()));

    [Fact]
    public void A_field_is_named_by_its_path_wherever_it_stands()
    {
        var deep = Table(r =>
        {
            r.Route_ = r.Route_.Cluster == "second" ? Newer(r.Route_, RouteAction.Parser) : r.Route_;
            return r;
        });

        Assert.Equal(["999"], UnknownFields.In(XdsTypes.Route, Newer(Table(r => r), RouteConfiguration.Parser).ToByteString()));
        Assert.Equal(["2.3.2.999", "999"], UnknownFields.In(XdsTypes.Route, Newer(deep, RouteConfiguration.Parser).ToByteString()));
    }

    [Fact]
    public void Messages_inside_of_others_are_opened()
    {
        var chain = ProxyHarness.Http(_ => { }, To("c"));
        var manager = Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager.Parser.ParseFrom(chain.Filters[0].TypedConfig.Value);
        chain.Filters[0].TypedConfig = Pack(XdsTypes.HttpConnectionManager, Newer(manager, Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager.Parser));
        var listener = new Listener { Name = "l", FilterChains = { chain } };

        Assert.Equal(["3.3.4 HttpConnectionManager.999"], UnknownFields.In(XdsTypes.Listener, listener.ToByteString()));
    }

    [Fact]
    public void No_more_is_told_than_can_be_read()
    {
        var table = Table(r => r);
        table.VirtualHosts[0].Routes.Add(Enumerable.Repeat(Newer(To("c"), Route.Parser), 100));

        Assert.Equal(16, UnknownFields.In(XdsTypes.Route, table.ToByteString()).Count);
    }

    [Theory]
    [InlineData("\n!type.googleapis.com/")]
    [InlineData("\ntype.googleapis.com/envoy.config.cluster.v3.Cluster")]
    [InlineData("\n\u007ftype.googleapis.com/")]
    public void Text_that_looks_like_a_message_does_no_harm(string text) =>
        Assert.Empty(UnknownFields.In(XdsTypes.Cluster, new Cluster { Name = text }.ToByteString()));

    [Fact]
    public void A_message_that_names_a_type_and_is_none_does_no_harm()
    {
        var cluster = new Cluster { Name = "c" };
        cluster.TransportSocket = new Envoy.Config.Core.V3.TransportSocket { TypedConfig = new Any { TypeUrl = XdsTypes.UpstreamTls, Value = ByteString.CopyFromUtf8("\u00ff\u00ff") } };

        Assert.Empty(UnknownFields.In(XdsTypes.Cluster, cluster.ToByteString()));
    }

    [Fact]
    public async Task The_administration_pages_show_what_is_not_carried_out_until_it_is_mended()
    {
        var admin = SocketAddressV4.Parse("127.0.0.1", (uint)FreePort());
        await using var proxy = new ProxyHarness(admin: new Admin.AdminOptions { AdminAddress = admin });
        using var client = new HttpClient { BaseAddress = new Uri($"http://{admin}") };
        async Task<string> NotesAsync() => string.Join("; ", JsonNode.Parse(await client.GetStringAsync("/config_dump"))!["not_carried_out"]!.AsArray()
            .Select(n => $"{(string)n!["name"]!} {(bool)n["refused"]!} {(string)n["reason"]!}"));

        proxy.Apply(XdsTypes.Cluster, ("newer", Newer(BuildCluster("newer", [1]), Cluster.Parser)), ("wrong", new Cluster { Name = "wrong", Type = Cluster.Types.DiscoveryType.StrictDns }));
        Assert.Equal("newer False fields this proxy does not know are not carried out: 999; wrong True cluster wrong: type StrictDns is not supported", await NotesAsync());

        proxy.Clusters(("newer", [1]));
        Assert.StartsWith("wrong True", await NotesAsync(), StringComparison.Ordinal);

        proxy.Store.Apply(XdsTypes.Cluster, Array.Empty<ReceivedResource>(), ["wrong"]);
        Assert.Empty(await NotesAsync());
    }

    [Fact]
    public async Task Fields_that_are_known_and_cannot_be_carried_out_are_refused()
    {
        await using var proxy = new ProxyHarness();
        var route = To("c");
        route.RequestHeadersToAdd.Add(new Envoy.Config.Core.V3.HeaderValueOption
        {
            Header = new Envoy.Config.Core.V3.HeaderValue { Key = "x-a", Value = "b" },
            AppendAction = Envoy.Config.Core.V3.HeaderValueOption.Types.HeaderAppendAction.AddIfAbsent,
        });

        Assert.Contains("request_headers_to_add[0].append_action: AddIfAbsent is not supported", proxy.Routes(route));
        Assert.Contains("healthy_panic_threshold is not supported", proxy.Cluster("c", [1], c => c.CommonLbConfig = new() { HealthyPanicThreshold = new() { Value = 50 } }));
    }
}
