using System.Text.Json.Nodes;
using Weir.Node.Workloads;
using Weir.Resources;
using Weir.Resources.Yaml;

namespace Weir.Node.Tests;

public class WorkloadTests
{
    [Theory]
    [InlineData(10, 3, 2)]
    [InlineData(1, 1, 0)]
    [InlineData(4, 0, 1)]
    [InlineData(5, 5, 5)]
    [InlineData(3, 0, 0)]
    public void A_rolling_update_ends_and_never_leaves_its_bounds(int replicas, int maxSurge, int maxUnavailable)
    {
        const int seed = 7;
        var random = new Random(seed);
        int newWanted = 0, newReady = 0, oldWanted = replicas, oldReady = replicas;
        var allowedUnavailable = maxSurge == 0 && maxUnavailable == 0 ? 1 : maxUnavailable;
        for (var step = 0; step < 500; step++)
        {
            var plan = RolloutPlan.Rolling(replicas, maxSurge, maxUnavailable,
                new ReplicaSetSize(newWanted, newWanted, newReady), [new ReplicaSetSize(oldWanted, oldWanted, oldReady)]);
            newWanted = plan.New;
            oldWanted = plan.Old[0];
            oldReady = Math.Min(oldReady, oldWanted);
            Assert.True(newWanted + oldWanted <= replicas + maxSurge, $"seed {seed}, step {step}: {newWanted} + {oldWanted} pods");
            Assert.True(newReady + oldReady >= replicas - allowedUnavailable, $"seed {seed}, step {step}: only {newReady} + {oldReady} are available");
            if (newReady == replicas && oldWanted == 0)
            {
                return;
            }

            newReady += newReady < newWanted && random.Next(3) > 0 ? 1 : 0;
        }

        Assert.Fail($"seed {seed}: not done after 500 steps: {newWanted} new, {oldWanted} old");
    }

    [Fact]
    public void Old_pods_that_serve_nobody_go_first()
    {
        var plan = RolloutPlan.Rolling(3, 1, 1, new ReplicaSetSize(0, 0, 0), [new ReplicaSetSize(1, 1, 0), new ReplicaSetSize(3, 3, 3)]);

        Assert.Equal(0, plan.Old[0]);
    }

    [Fact]
    public void Recreating_waits_for_the_last_old_pod()
    {
        Assert.Equal(0, RolloutPlan.Recreate(3, [new ReplicaSetSize(0, 1, 0)]).New);
        Assert.Equal(3, RolloutPlan.Recreate(3, [new ReplicaSetSize(0, 0, 0)]).New);
    }

    static Resource Read(string yaml) => new(YamlReader.Parse(yaml)[0].AsObject());

    [Fact]
    public void A_rollout_that_stands_still_runs_into_its_deadline()
    {
        var deployment = Read("kind: Deployment\nmetadata: {name: d, generation: 2}\nspec: {replicas: 2, progressDeadlineSeconds: 10, selector: {}, template: {}}");
        var set = Read("kind: ReplicaSet\nmetadata: {name: d-1}\nspec: {replicas: 2}\nstatus: {replicas: 2, readyReplicas: 1, availableReplicas: 1}");
        var start = DateTimeOffset.UnixEpoch;

        var first = DeploymentStatus.Build(deployment, set, [], [], start, out var again);
        var later = DeploymentStatus.Build(deployment, set, [], first, start.AddSeconds(9), out _);
        var late = DeploymentStatus.Build(deployment, set, [], later, start.AddSeconds(11), out _);
        var better = DeploymentStatus.Build(deployment, Read("kind: ReplicaSet\nmetadata: {name: d-1}\nspec: {replicas: 2}\nstatus: {replicas: 2, readyReplicas: 2, availableReplicas: 2}"), [], late, start.AddSeconds(12), out _);

        Assert.Equal(TimeSpan.FromSeconds(10), again);
        Assert.Equal(["True NewReplicaSetCreated", "True NewReplicaSetCreated", "False ProgressDeadlineExceeded", "True NewReplicaSetAvailable"],
            new[] { first, later, late, better }.Select(s => Progressing(s)));
        Assert.Equal(1, first.Number("unavailableReplicas"));
    }

    static string Progressing(JsonObject status)
    {
        var condition = status.Objects("conditions").First(c => c.Text("type") == "Progressing");
        return $"{condition.Text("status")} {condition.Text("reason")}";
    }

    [Fact]
    public void The_hash_of_a_template_does_not_depend_on_the_order_of_its_fields()
    {
        var one = TemplateHash.Of(JsonNode.Parse("""{"a":{"x":1,"y":[1,2]},"b":2}""")!);

        Assert.Equal(one, TemplateHash.Of(JsonNode.Parse("""{"b":2,"a":{"y":[1,2],"x":1}}""")!));
        Assert.NotEqual(one, TemplateHash.Of(JsonNode.Parse("""{"b":2,"a":{"y":[2,1],"x":1}}""")!));
    }
}
