using Weir.Xds.Client;
using static Weir.Xds.Tests.Client.TestSource;

namespace Weir.Xds.Tests.Client;

/// <summary>The client against Weir's own server.</summary>
public sealed class AdsClientTests
{
    public static readonly TheoryData<AdsVariant> Variants = [AdsVariant.Incremental, AdsVariant.StateOfTheWorld];

    readonly TestSource source = new();

    static AdsClientOptions With(AdsVariant variant) => new() { Variant = variant };

    [Theory]
    [MemberData(nameof(Variants))]
    public async Task Everything_and_what_it_refers_to_is_followed(AdsVariant variant)
    {
        source.Set(Cluster("a"), Cluster("b"), Endpoints("a"), Endpoints("b"), Endpoints("other"), Listener("l"), Route("l"));
        await using var server = await TestServer.StartAsync(source);
        await using var run = new ClientRun(server.InTheClear, With(variant));
        await run.Sink.HasAsync(XdsTypes.Endpoints, "a", "b");
        await run.Sink.HasAsync(XdsTypes.Route, "l");

        source.Set(Cluster("b", seconds: 2), Cluster("c"), Endpoints("b"), Endpoints("c"), Listener("m"), Route("m"));
        await run.Sink.HasAsync(XdsTypes.Cluster, "b", "c");
        await run.Sink.HasAsync(XdsTypes.Listener, "m");
        await run.Sink.IncludesAsync(XdsTypes.Endpoints, "c");
        await source.AcknowledgedAsync(2);

        Assert.Equal("z", source.Nodes.Single().Locality.Zone);
        Assert.Empty(source.Rejected);
        Assert.Equal((1, 0, true), (run.Client.Status.Streams, run.Client.Status.UnexpectedErrors, run.Client.Status.IsConnected));
    }

    /// <summary>What a returning client has to say is larger than any window, and so is what the server has to say.</summary>
    [Theory]
    [MemberData(nameof(Variants))]
    public async Task A_client_of_two_thousand_services_comes_back(AdsVariant variant)
    {
        const int count = 2000;
        static string Name(int i) => $"outbound|8080||service-{i}.a-namespace-with-a-long-name.svc.cluster.local";
        var sink = new FakeSink();
        for (var i = 0; i < count; i++)
        {
            sink.Hold(XdsTypes.Cluster, Name(i), "stale");
            sink.Hold(XdsTypes.Endpoints, Name(i), "stale");
        }

        source.Set(Enumerable.Range(0, count).SelectMany(i => new[] { Cluster(Name(i)), Endpoints(Name(i)) }).Append(Listener("l")).Append(Route("l")));
        await using var server = await TestServer.StartAsync(source);
        await using var run = new ClientRun(server.InTheClear, With(variant), sink);

        await source.AcknowledgedAsync(1);
        await run.Sink.HasAsync(XdsTypes.Route, "l");
        source.Set(Enumerable.Range(0, count).SelectMany(i => new[] { Cluster(Name(i), seconds: 5), Endpoints(Name(i)) }).Append(Listener("l")).Append(Route("l")));
        await source.AcknowledgedAsync(2);

        Assert.DoesNotContain("stale", sink.Versions(XdsTypes.Cluster).Values);
        Assert.DoesNotContain("stale", sink.Versions(XdsTypes.Endpoints).Values);
        Assert.Equal(1, run.Client.Status.Streams);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public async Task After_a_break_only_what_has_changed_is_sent(AdsVariant variant)
    {
        source.Set(Cluster("a"), Cluster("b", isEds: false), Endpoints("a"), Listener("l"), Route("l"));
        var server = await TestServer.StartAsync(source);
        await using var run = new ClientRun(server.InTheClear, With(variant));
        await run.Sink.HasAsync(XdsTypes.Endpoints, "a");
        await run.Sink.HasAsync(XdsTypes.Route, "l");
        await source.AcknowledgedAsync(1);
        await server.DisposeAsync();
        var seen = new List<string>();
        run.Sink.Check = r =>
        {
            seen.Add(r.Name);
            return null;
        };
        source.Set(Cluster("a"), Cluster("b", seconds: 7, isEds: false), Endpoints("a"), Listener("l"), Route("l"));

        await using var again = await TestServer.StartAsync(source, port: server.Port);
        await source.AcknowledgedAsync(2);
        Assert.Equal(variant == AdsVariant.Incremental ? ["b"] : ["a", "b"], seen.Distinct().Order());
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public async Task What_is_refused_is_said_by_name_and_the_rest_is_in_force(AdsVariant variant)
    {
        source.Set(Cluster("bad"), Cluster("good"), Cluster("worse"));
        await using var server = await TestServer.StartAsync(source);
        await using var run = new ClientRun(
            server.InTheClear, With(variant), new FakeSink { Check = r => r.Name switch { "bad" => "no good", "worse" => "cluster worse: none either", _ => null } });
        await source.RejectedAsync(1);
        await run.Sink.HasAsync(XdsTypes.Cluster, "good");
        run.Sink.Check = _ => null;
        source.Set(Cluster("bad", seconds: 2), Cluster("good"), Cluster("worse", seconds: 2));
        await run.Sink.HasAsync(XdsTypes.Cluster, "bad", "good", "worse");

        Assert.Equal(["bad: no good; cluster worse: none either"], source.Rejected);
        Assert.Equal(2, run.Client.Status.RefusedResources);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public async Task What_was_refused_and_is_in_force_later_is_acknowledged_then(AdsVariant variant)
    {
        source.Set(Listener("l"));
        await using var server = await TestServer.StartAsync(source);
        await using var run = new ClientRun(server.InTheClear, With(variant), new FakeSink { Check = r => r.Name == "l" ? "its port is taken" : null });
        run.Client.Recover(XdsTypes.Listener);
        await source.RejectedAsync(1);
        Assert.Equal(0, source.AcknowledgedRevision);

        run.Client.Recover(XdsTypes.Cluster);
        run.Client.Recover(XdsTypes.Listener);

        await source.AcknowledgedAsync(1);
        Assert.Equal((1, 1), (source.Rejected.Count, run.Client.Status.Streams));
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public async Task A_resource_on_which_the_consumer_fails_is_refused_alone(AdsVariant variant)
    {
        source.Set(Cluster("a"), Cluster("poison"), Cluster("z"), Listener("l"));
        await using var server = await TestServer.StartAsync(source);
        await using var run = new ClientRun(
            server.InTheClear, With(variant), new FakeSink { Check = r => r.Name == "poison" ? throw new NotSupportedException("lookahead") : null });
        await source.RejectedAsync(1);
        await run.Sink.HasAsync(XdsTypes.Cluster, "a", "z");
        await run.Sink.HasAsync(XdsTypes.Listener, "l");
        source.Set(Cluster("a"), Cluster("b"), Listener("l"));
        await run.Sink.HasAsync(XdsTypes.Cluster, "a", "b");

        // State of the world says it once more, on the way to a state without it.
        Assert.All(source.Rejected, r => Assert.Equal("poison: unexpected error: lookahead", r));
        Assert.Equal(run.Client.Status.UnexpectedErrors, run.Log.Lines.Count(l => l.StartsWith("unexpected error", StringComparison.Ordinal)));
        Assert.Equal((variant == AdsVariant.Incremental ? 1 : 2, 1), (run.Client.Status.UnexpectedErrors, run.Client.Status.Streams));
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public async Task An_error_that_nobody_foresaw_opens_the_stream_again(AdsVariant variant)
    {
        var failures = 2;
        source.Set(Cluster("a"), Endpoints("a"));
        await using var server = await TestServer.StartAsync(source);
        await using var run = new ClientRun(
            server.InTheClear, With(variant), new FakeSink { OnReferences = () => _ = failures-- > 0 ? throw new InvalidOperationException("broken") : 0 });
        await run.Sink.HasAsync(XdsTypes.Endpoints, "a");

        Assert.Equal((2, 3), (run.Client.Status.UnexpectedErrors, run.Client.Status.Streams));
        Assert.Equal(2, run.Log.Lines.Count(l => l.Contains("InvalidOperationException: broken", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Automatic_uses_state_of_the_world_where_there_is_nothing_else(bool saysItByGrpc)
    {
        source.Set(Cluster("a"), Endpoints("a"));
        await using var server = await TestServer.StartAsync(source, hasDelta: false, otherwise: !saysItByGrpc ? null : context =>
        {
            context.Response.ContentType = GrpcFraming.ContentType;
            context.Response.Headers["grpc-status"] = "12";
            context.Response.Headers["grpc-message"] = "no%20such method";
            return Task.CompletedTask;
        });
        await using var run = new ClientRun(server.InTheClear, With(AdsVariant.Automatic));
        await run.Sink.HasAsync(XdsTypes.Endpoints, "a");

        Assert.Contains(saysItByGrpc ? "the control plane ended the stream with gRPC status 12 (UNIMPLEMENTED): no such method" : "the control plane answered with HTTP status 404", run.Log.Lines);
        Assert.Equal(2, run.Client.Status.Streams);
    }

    [Fact]
    public async Task Incremental_alone_goes_on_asking_for_it()
    {
        await using var server = await TestServer.StartAsync(source, hasDelta: false);
        await using var run = new ClientRun(server.InTheClear);
        await run.Log.HasAsync("the control plane answered with HTTP status 404", times: 3);

        Assert.Empty(source.Nodes);
    }
}
