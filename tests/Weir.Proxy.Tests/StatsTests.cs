using System.Runtime.CompilerServices;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Tests;

public class StatsTests
{
    sealed class Clock : TimeProvider
    {
        long now = 1;

        public override long GetTimestamp() => now;

        public override long TimestampFrequency => 1000;

        public void Advance(TimeSpan span) => now += (long)span.TotalMilliseconds;
    }

    static StatsLabels Labels(string service, string principal = "unknown", string reporter = "destination") =>
        new(reporter, "a", "a", "a", "a", "b", "b", "b", "b", service, service, "n", principal);

    [Fact]
    public void Names_of_clients_are_bounded_and_the_rest_are_counted_together()
    {
        var stats = new StatsRegistry(1, new Clock());

        var scopes = Enumerable.Range(0, StatsRegistry.MaximumClients + 50).Select(i => stats.Get(Labels("s", $"spiffe://a/{i}"))).ToList();

        Assert.Equal(StatsRegistry.MaximumClients + 1, scopes.Distinct().Count());
        Assert.Equal(50, stats.ClientsOverflowed);
        Assert.Equal(StatsLabels.OtherPrincipal, scopes[^1].Labels.SourcePrincipal);
        Assert.Same(scopes[0], stats.Get(Labels("s", "spiffe://a/0")));

        // What the configuration names is no client's doing.
        Assert.Equal("t", stats.Get(Labels("t")).Labels.DestinationService);
        Assert.Equal("spiffe://b", stats.Get(Labels("t", "spiffe://b", "source")).Labels.SourcePrincipal);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void Count(StatsRegistry stats, StatsLabels labels) => stats.Get(labels).Get(0, 200, ResponseFlag.None).Record(1, 1, 1);

    static int Left(StatsRegistry stats)
    {
        stats.Sweep();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return stats.All.Count();
    }

    [Fact]
    public void Scopes_that_nobody_uses_are_let_go_after_a_while()
    {
        var clock = new Clock();
        var stats = new StatsRegistry(1, clock);
        var used = stats.Get(Labels("used"));
        for (var i = 0; i < StatsRegistry.MaximumClients; i++)
        {
            Count(stats, Labels("gone", $"spiffe://a/{i}"));
        }

        // Metrics that have not been fetched yet must not be lost.
        Assert.Equal(StatsRegistry.MaximumClients + 1, Left(stats));
        clock.Advance(StatsRegistry.Retention / 2);
        Count(stats, Labels("gone", "spiffe://a/7"));
        Assert.Equal(StatsRegistry.MaximumClients + 1, Left(stats));
        clock.Advance(StatsRegistry.Retention);
        Left(stats);
        clock.Advance(StatsRegistry.Retention);

        Assert.Equal(1, Left(stats));
        Assert.Same(used, stats.Get(Labels("used")));

        // There is room for names again.
        clock.Advance(StatsRegistry.Retention);
        Left(stats);
        Assert.Equal("spiffe://new", stats.Get(Labels("s", "spiffe://new")).Labels.SourcePrincipal);
        Assert.Equal(0, stats.ClientsOverflowed);
    }

    [Fact]
    public void The_status_of_grpc_is_a_label_of_requests_that_have_one()
    {
        var stats = new StatsRegistry(2);
        var scope = stats.Get(Labels("s"));
        scope.Get(0, 200, ResponseFlag.None).Record(3, 10, 20);
        scope.Get(1, 200, ResponseFlag.None).Record(3, 10, 20);
        scope.Get(1, 200, ResponseFlag.None, grpcStatus: 14).Record(3, 1, 2);

        var text = PrometheusText.Write(stats, [("weir_own", "gauge", "Own.", 1.5)]);

        Assert.Matches("istio_requests_total\\{[^}]*request_protocol=\"http\",response_code=\"200\",response_flags=\"-\"[^}]*\\} 2\n", text);
        Assert.Matches("istio_requests_total\\{[^}]*request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"14\"[^}]*\\} 1\n", text);
        Assert.Matches("istio_request_duration_milliseconds_bucket\\{[^}]*,le=\"1\"\\} 0\n", text);
        Assert.Matches("istio_request_duration_milliseconds_bucket\\{[^}]*,le=\"5\"\\} 2\n", text);
        Assert.Matches("istio_request_bytes_sum\\{[^}]*\\} 20\n", text);
        Assert.EndsWith("# TYPE weir_own gauge\nweir_own 1.5\n", text);
    }

    [Fact]
    public void Names_in_labels_are_escaped()
    {
        var stats = new StatsRegistry(1);
        stats.Get(Labels("a\"b\\c\nd")).Get(0, 200, ResponseFlag.None).Record(1, 1, 1);

        Assert.Contains("destination_service=\"a\\\"b\\\\c\\nd\"", PrometheusText.Write(stats, []));
    }
}
