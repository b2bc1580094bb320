using System.Text.Json.Nodes;
using Weir.Delivery.Routing;
using Weir.Delivery.Targets;
using Weir.Resources;
using Weir.Resources.Yaml;
using Weir.Telemetry.Scraping;
using Weir.Telemetry.Signals;

namespace Weir.Delivery.Tests;

public class ReleaseObjectTests
{
    static Resource Read(string yaml) => new(YamlReader.Parse(yaml)[0].AsObject());

    [Fact]
    public void Routes_name_both_services_and_share_the_weight()
    {
        var canary = Read("apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: podinfo, namespace: test}\nspec:\n  targetRef: {name: podinfo}\n  service: {port: 9898, hosts: [app.example.com], gateways: [public], timeout: 5s, rewrite: {uri: /, type: ReplacePrefixMatch}}");

        var spec = IstioRouter.BuildSpec(canary, 30);

        var expected = YamlReader.Parse("gateways: [public]\nhosts: [app.example.com, podinfo]\nhttp:\n- timeout: 5s\n  rewrite: {uri: /}\n  route:\n  - {destination: {host: podinfo-primary}, weight: 70}\n  - {destination: {host: podinfo-canary}, weight: 30}")[0];
        Assert.True(JsonNode.DeepEquals(expected, spec), spec.ToJsonString());
    }

    [Theory]
    [InlineData("{replicas: 2}", "{observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2}", 100, true, true)]
    [InlineData("{replicas: 2}", "{observedGeneration: 0}", 100, false, true)]
    [InlineData("{replicas: 2}", "{observedGeneration: 1, replicas: 3, updatedReplicas: 2, availableReplicas: 3}", 100, false, true)]
    [InlineData("{replicas: 2}", "{observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 1}", 100, false, true)]
    [InlineData("{replicas: 2}", "{observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 1}", 50, true, true)]
    [InlineData("{replicas: 2}", "{observedGeneration: 1, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]}", 100, false, false)]
    public void Readiness_is_that_of_a_rollout(string spec, string status, int threshold, bool ready, bool retriable)
    {
        var deployment = Read($"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a, generation: 1}}\nspec: {spec}\nstatus: {status}");

        var readiness = RolloutReadiness.Of(deployment, threshold, TimeSpan.FromSeconds(60), DateTimeOffset.UnixEpoch);

        Assert.Equal((ready, retriable), (readiness.IsReady, readiness.IsRetriable));
    }

    sealed class StoppedTime(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }

    [Fact]
    public void Signals_are_increases_within_the_window()
    {
        var now = DateTimeOffset.UnixEpoch.AddHours(1);
        var store = new SignalStore(new StoppedTime(now));
        Assert.Equal(SignalState.Warming, store.SuccessRate("test", "podinfo", TimeSpan.FromMinutes(1)).State);

        // Two proxies; the first restarts its counters in the middle, the second fails a quarter of its requests.
        Feed(store, "a", now.AddSeconds(-4), ok: 1000, failed: 0);
        Feed(store, "b", now.AddSeconds(-4), ok: 10, failed: 10);
        store.EndRound(["a", "b"], now.AddSeconds(-4));
        Feed(store, "a", now.AddSeconds(-2), ok: 30, failed: 0);
        Feed(store, "b", now.AddSeconds(-2), ok: 40, failed: 20);
        store.EndRound(["a", "b"], now.AddSeconds(-2));

        Assert.Equal(60 / 70.0 * 100, store.SuccessRate("test", "podinfo", TimeSpan.FromMinutes(1)).Value, 6);
        Assert.Equal(70 / 2.0, store.Rate("test", "podinfo", TimeSpan.FromMinutes(1)).Value, 6);
        Assert.Equal(SignalState.NoData, store.SuccessRate("test", "other", TimeSpan.FromMinutes(1)).State);
        Assert.Equal(SignalState.NoData, store.SuccessRate("test", "podinfo", TimeSpan.FromSeconds(1)).State);
    }

    static void Feed(SignalStore store, string target, DateTimeOffset at, int ok, int failed)
    {
        const string labels = "reporter=\"destination\",destination_workload=\"podinfo\",destination_workload_namespace=\"test\"";
        var text = $"istio_requests_total{{{labels},response_code=\"200\"}} {ok}\nistio_requests_total{{{labels},response_code=\"500\"}} {failed}\n"
            + $"istio_requests_total{{{labels.Replace("destination\"", "source\"", StringComparison.Ordinal)},response_code=\"500\"}} 99999\n";
        store.Add(target, PrometheusTextReader.Read(text, SignalStore.Metrics), at);
    }

    [Fact]
    public void Labels_with_quotes_and_breaks_are_read()
    {
        var sample = PrometheusTextReader.Read("m{a=\"x\\\"y\\\\z\\n\",b=\"\"} 1.5 1000\n# comment\nbroken{\n", new HashSet<string> { "m", "broken" }).Single();

        Assert.Equal(("x\"y\\z\n", "", 1.5), (sample.Labels["a"], sample.Labels["b"], sample.Value));
    }
}
