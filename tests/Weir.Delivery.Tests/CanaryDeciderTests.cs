using Weir.Delivery.Decision;
using static Weir.Delivery.Decision.CanaryAction;

namespace Weir.Delivery.Tests;

public class CanaryDeciderTests
{
    static readonly CanarySpec Spec = new()
    {
        Target = "podinfo",
        Interval = TimeSpan.FromSeconds(2),
        Threshold = 3,
        StepWeight = 10,
        MaxWeight = 50,
        ProgressDeadline = TimeSpan.FromSeconds(60),
    };

    static readonly Dictionary<string, string> NoConfigs = [];

    static readonly Observation Calm = new() { TargetHash = "one", Configs = NoConfigs, Primary = Readiness.Ready, Canary = Readiness.Ready };

    static readonly CanaryStatus Initialized = new() { Phase = CanaryPhase.Initialized, LastAppliedSpec = "one", LastPromotedSpec = "one" };

    static readonly CanaryStatus Progressing = Initialized with { Phase = CanaryPhase.Progressing, LastAppliedSpec = "two" };

    static readonly Observation New = Calm with { TargetHash = "two" };

    static readonly Readiness Waiting = new(false, true, "waiting for rollout to finish: 0 of 1 updated replicas are available");

    static readonly Readiness Stuck = new(false, false, "deployment \"podinfo\" exceeded its progress deadline");

    static CanaryDecision Decide(CanaryStatus status, Observation seen, CanarySpec? spec = null) =>
        CanaryDecider.Decide("podinfo.test", "test", spec ?? Spec, status, seen);

    /// <summary>Decides, giving every check that is asked for the result in the table, or a pass.</summary>
    static CanaryDecision Run(CanaryStatus status, Observation seen, CanarySpec? spec = null, params (CheckKind Kind, CheckResult Result)[] results)
    {
        while (true)
        {
            var decision = Decide(status, seen, spec);
            if (decision.Needs is not { } kind)
            {
                return decision;
            }

            Assert.False(seen.Checks.ContainsKey(kind), $"{kind} was asked for twice");
            var given = results.Where(r => r.Kind == kind).Select(r => r.Result).FirstOrDefault();
            seen = seen.With(kind, given ?? CheckResult.None);
        }
    }

    static CheckResult Fails(string why) => new([], why, "hook");

    static IEnumerable<string> Messages(CanaryDecision decision) => decision.Events.Select(e => e.Message);

    [Fact]
    public void Waits_for_the_primary_before_it_touches_the_target()
    {
        var decision = Decide(new CanaryStatus(), Calm with { Primary = Waiting });

        Assert.Equal(CanaryPhase.Initializing, decision.Status.Phase);
        Assert.Empty(decision.Actions);
        Assert.Equal(["podinfo-primary.test not ready: " + Waiting.Message], Messages(decision));
    }

    [Fact]
    public void Initializes_once_the_primary_serves()
    {
        var decision = Decide(new CanaryStatus { Phase = CanaryPhase.Initializing }, Calm);

        Assert.Equal(CanaryPhase.Initialized, decision.Status.Phase);
        Assert.Equal([new SetWeight(0), new ScaleCanaryDown()], decision.Actions);
        Assert.Equal(["Initialization done! podinfo.test"], Messages(decision));
        Assert.Equal(("one", "one"), (decision.Status.LastAppliedSpec, decision.Status.LastPromotedSpec));
    }

    [Theory]
    [InlineData(CanaryPhase.Initialized)]
    [InlineData(CanaryPhase.Succeeded)]
    [InlineData(CanaryPhase.Failed)]
    public void Does_nothing_while_nothing_changes(CanaryPhase phase)
    {
        var decision = Decide(Initialized with { Phase = phase }, Calm);

        Assert.Equal(phase, decision.Status.Phase);
        Assert.Empty(decision.Actions);
        Assert.Empty(decision.Events);
    }

    [Fact]
    public void Starts_a_release_for_a_new_revision()
    {
        var decision = Run(Initialized with { FailedChecks = 7, CanaryWeight = 3 }, New);

        Assert.Equal(CanaryPhase.Progressing, decision.Status.Phase);
        Assert.Equal((0, 0, "two"), (decision.Status.FailedChecks, decision.Status.CanaryWeight, decision.Status.LastAppliedSpec));
        Assert.Equal([new ScaleCanaryUp()], decision.Actions);
        Assert.Equal(["New revision detected! Scaling up podinfo.test"], Messages(decision));
    }

    [Fact]
    public void Going_back_to_what_was_promoted_is_no_new_revision() =>
        Assert.Empty(Decide(Initialized with { Phase = CanaryPhase.Failed, LastAppliedSpec = "two" }, Calm).Actions);

    [Fact]
    public void A_changed_config_map_is_a_new_revision()
    {
        var decision = Run(Initialized, Calm with { Configs = new Dictionary<string, string> { ["configmap/a"] = "1" } });

        Assert.Equal(CanaryPhase.Progressing, decision.Status.Phase);
    }

    [Fact]
    public void A_closed_gate_makes_a_release_wait_and_says_so_once()
    {
        var first = Run(Initialized, New, null, (CheckKind.ConfirmRollout, Fails("403")));
        var second = Run(first.Status, New, null, (CheckKind.ConfirmRollout, Fails("403")));
        var opened = Run(second.Status, New);

        Assert.Equal(CanaryPhase.Waiting, first.Status.Phase);
        Assert.Equal(["Halt podinfo.test advancement waiting for approval hook"], Messages(first));
        Assert.Empty(second.Events);
        Assert.Equal(CanaryPhase.Progressing, opened.Status.Phase);
    }

    [Fact]
    public void A_whole_release_advances_by_steps_and_is_promoted()
    {
        var status = Run(Initialized, New).Status;
        var told = new List<string>();
        var weights = new List<int>();
        for (var i = 0; i < 20 && status.Phase != CanaryPhase.Succeeded; i++)
        {
            var decision = Run(status, New with { LiveCanaryWeight = weights.LastOrDefault() });
            status = decision.Status;
            told.AddRange(Messages(decision));
            weights.AddRange(decision.Actions.OfType<SetWeight>().Select(w => w.Canary));
        }

        Assert.Equal([10, 20, 30, 40, 50, 0], weights);
        Assert.Equal(
        [
            "Starting canary analysis for podinfo.test", "Advance podinfo.test canary weight 10", "Advance podinfo.test canary weight 20",
            "Advance podinfo.test canary weight 30", "Advance podinfo.test canary weight 40", "Advance podinfo.test canary weight 50",
            "Copying podinfo.test template spec to podinfo-primary.test", "Routing all traffic to primary",
            "Promotion completed! Scaling down podinfo.test",
        ], told);
        Assert.Equal(("two", 0), (status.LastPromotedSpec, status.CanaryWeight));
    }

    [Theory]
    [InlineData(20, 50, new[] { 20, 40, 60 })]
    [InlineData(30, 100, new[] { 30, 60, 90, 100 })]
    [InlineData(100, 100, new[] { 100 })]
    public void Steps_go_to_the_first_weight_at_or_over_the_maximum(int step, int maximum, int[] expected) =>
        Assert.Equal(expected, WeightsOf(Spec with { StepWeight = step, MaxWeight = maximum }));

    [Fact]
    public void Listed_steps_are_taken_as_listed() =>
        Assert.Equal([1, 5, 80], WeightsOf(Spec with { StepWeight = 0, StepWeights = [1, 5, 80], MaxWeight = 80 }));

    static List<int> WeightsOf(CanarySpec spec)
    {
        var weights = new List<int>();
        var status = Progressing;
        while (status.Phase == CanaryPhase.Progressing && weights.Count < 30)
        {
            var decision = Run(status, New, spec);
            weights.AddRange(decision.Actions.OfType<SetWeight>().Select(w => w.Canary));
            status = decision.Status;
        }

        return weights;
    }

    [Theory]
    [InlineData(CheckKind.PreRollout, 0, "Halt podinfo.test advancement pre-rollout check hook failed boom")]
    [InlineData(CheckKind.Rollout, 10, "Halt podinfo.test advancement external check hook failed boom")]
    [InlineData(CheckKind.Metrics, 10, "boom")]
    public void A_failed_check_halts_and_is_counted(CheckKind kind, int weight, string message)
    {
        var decision = Run(Progressing with { CanaryWeight = weight }, New, null, (kind, Fails("boom")));

        Assert.Equal((CanaryPhase.Progressing, 1, weight), (decision.Status.Phase, decision.Status.FailedChecks, decision.Status.CanaryWeight));
        Assert.Empty(decision.Actions);
        Assert.Equal([message], Messages(decision));
    }

    [Fact]
    public void Metrics_that_cannot_be_known_yet_are_neither_passed_nor_failed()
    {
        var status = Progressing with { CanaryWeight = 10 };

        var decision = Run(status, New, null, (CheckKind.Metrics, new CheckResult([], null, "", IsUndecided: true)));

        Assert.Equal(status, decision.Status);
        Assert.Empty(decision.Actions);
    }

    [Fact]
    public void A_held_traffic_gate_is_no_failed_check()
    {
        var decision = Run(Progressing with { CanaryWeight = 10 }, New, null, (CheckKind.ConfirmTrafficIncrease, Fails("403")));

        Assert.Equal((0, 10), (decision.Status.FailedChecks, decision.Status.CanaryWeight));
        Assert.Equal(["Halt podinfo.test advancement waiting for traffic increase approval hook"], Messages(decision));
    }

    [Theory]
    [InlineData(2, CanaryPhase.Progressing)]
    [InlineData(3, CanaryPhase.Failed)]
    [InlineData(4, CanaryPhase.Failed)]
    public void Rolls_back_when_the_threshold_is_reached(int failed, CanaryPhase expected)
    {
        var decision = Run(Progressing with { CanaryWeight = 20, FailedChecks = failed }, New, null, (CheckKind.Metrics, Fails("still bad")));

        Assert.Equal(expected, decision.Status.Phase);
        if (expected == CanaryPhase.Failed)
        {
            Assert.Equal([new SetWeight(0), new ScaleCanaryDown()], decision.Actions);
            Assert.Equal([$"Rolling back podinfo.test failed checks threshold reached {failed}", "Canary failed! Scaling down podinfo.test"], Messages(decision));
            Assert.Equal((0, 0), (decision.Status.FailedChecks, decision.Status.CanaryWeight));
        }
    }

    [Fact]
    public void A_rollback_hook_that_answers_rolls_back()
    {
        var decision = Run(Progressing with { CanaryWeight = 20 }, New, null, (CheckKind.Rollback, new CheckResult(["stop"], null)));

        Assert.Equal(CanaryPhase.Failed, decision.Status.Phase);
        Assert.Contains("Rolling back podinfo.test manual webhook invoked", Messages(decision));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_workload_that_may_still_come_up_is_waited_for(bool primary)
    {
        var decision = Run(Progressing with { CanaryWeight = 10 }, primary ? New with { Primary = Waiting } : New with { Canary = Waiting });

        Assert.Equal(CanaryPhase.Progressing, decision.Status.Phase);
        Assert.Empty(decision.Actions);
        Assert.Equal(0, decision.Status.FailedChecks);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_workload_past_its_deadline_is_rolled_back(bool primary)
    {
        var decision = Run(Progressing with { CanaryWeight = 10 }, primary ? New with { Primary = Stuck } : New with { Canary = Stuck });

        Assert.Equal(CanaryPhase.Failed, decision.Status.Phase);
        Assert.Contains(new SetWeight(0), decision.Actions);
    }

    [Fact]
    public void Another_revision_in_the_middle_starts_the_analysis_anew()
    {
        var decision = Run(Progressing with { CanaryWeight = 30, FailedChecks = 2 }, Calm with { TargetHash = "three" });

        Assert.Equal((CanaryPhase.Progressing, 0, 0, "three"),
            (decision.Status.Phase, decision.Status.FailedChecks, decision.Status.CanaryWeight, decision.Status.LastAppliedSpec));
        Assert.Contains(new SetWeight(0), decision.Actions);
        Assert.Equal(["New revision detected! Restarting analysis for podinfo.test"], Messages(decision));
    }

    [Fact]
    public void A_closed_promotion_gate_keeps_the_traffic_and_the_analysis()
    {
        var waiting = Run(Progressing with { CanaryWeight = 50 }, New with { LiveCanaryWeight = 50 }, null, (CheckKind.ConfirmPromotion, Fails("403")));
        var failing = Run(waiting.Status, New with { LiveCanaryWeight = 50 }, null, (CheckKind.Metrics, Fails("bad")));
        var opened = Run(waiting.Status, New with { LiveCanaryWeight = 50 });

        Assert.Equal(CanaryPhase.WaitingPromotion, waiting.Status.Phase);
        Assert.Empty(waiting.Actions);
        Assert.Equal(1, failing.Status.FailedChecks);
        Assert.Equal(CanaryPhase.Promoting, opened.Status.Phase);
        Assert.Equal([new PromoteTemplate()], opened.Actions);
    }

    [Fact]
    public void Promotion_waits_for_the_primary_then_gives_it_the_traffic()
    {
        var promoting = Progressing with { Phase = CanaryPhase.Promoting, CanaryWeight = 50 };

        var waiting = Run(promoting, New with { Primary = Waiting, LiveCanaryWeight = 50 });
        var ready = Run(promoting, New with { LiveCanaryWeight = 50 });

        Assert.Empty(waiting.Actions);
        Assert.Equal([new SyncAutoscaler(), new SetWeight(0)], ready.Actions);
        Assert.Equal((CanaryPhase.Finalising, "two"), (ready.Status.Phase, ready.Status.LastPromotedSpec));
    }

    [Fact]
    public void The_way_back_to_the_primary_can_go_in_steps()
    {
        var status = Progressing with { Phase = CanaryPhase.Promoting, CanaryWeight = 50 };
        var live = 50;
        var weights = new List<int>();
        while (status.Phase == CanaryPhase.Promoting)
        {
            var decision = Run(status, New with { LiveCanaryWeight = live }, Spec with { StepWeightPromotion = 20 });
            live = decision.Actions.OfType<SetWeight>().Single().Canary;
            weights.Add(live);
            status = decision.Status;
        }

        Assert.Equal([30, 10, 0], weights);
    }

    [Fact]
    public void A_primary_that_breaks_in_promotion_leaves_everything_to_the_canary()
    {
        var decision = Run(Progressing with { Phase = CanaryPhase.Promoting, CanaryWeight = 50 }, New with { Primary = Stuck, LiveCanaryWeight = 50 });

        Assert.Equal((CanaryPhase.Failed, 100), (decision.Status.Phase, decision.Status.CanaryWeight));
        Assert.Equal([new SetWeight(100)], decision.Actions);
    }

    [Fact]
    public void A_new_revision_after_a_failure_is_not_lost_while_the_primary_is_unready()
    {
        var failed = Initialized with { Phase = CanaryPhase.Failed, LastAppliedSpec = "two" };

        var decision = Run(failed, Calm with { TargetHash = "three", Primary = Waiting });

        Assert.Equal(("three", CanaryPhase.Progressing), (decision.Status.LastAppliedSpec, decision.Status.Phase));
    }

    [Fact]
    public void Without_analysis_a_ready_canary_is_promoted_at_once()
    {
        var decision = Run(Progressing, New, Spec with { SkipsAnalysis = true });

        Assert.Equal([new SetWeight(0), new PromoteTemplate(), new ScaleCanaryDown()], decision.Actions);
        Assert.Equal(CanaryPhase.Succeeded, decision.Status.Phase);
        Assert.Equal(["Promotion completed! Canary analysis was skipped for podinfo.test"], Messages(decision));
    }

    [Fact]
    public void A_failed_post_rollout_hook_is_told_and_changes_nothing()
    {
        var decision = Run(Progressing with { Phase = CanaryPhase.Finalising }, New, null, (CheckKind.PostRollout, Fails("500")));

        Assert.Equal(CanaryPhase.Succeeded, decision.Status.Phase);
        Assert.Contains("Post-rollout hook hook failed 500", Messages(decision));
    }

    /// <summary>Every phase, with every kind of readiness, revision, failure count and check result: no decision may be out of bounds.</summary>
    [Fact]
    public void Every_decision_there_is_keeps_the_invariants()
    {
        var readiness = new[] { Readiness.Ready, Waiting, Stuck };
        var results = new[] { CheckResult.None, Fails("no"), new CheckResult(["yes"], null) };
        var count = 0;
        foreach (var phase in Enum.GetValues<CanaryPhase>())
        {
            foreach (var primary in readiness)
            {
                foreach (var canary in readiness)
                {
                    foreach (var hash in new[] { "one", "two", "three" })
                    {
                        foreach (var (weight, failed) in new[] { (0, 0), (10, 1), (50, 2), (50, 3), (100, 0) })
                        {
                            foreach (var result in results)
                            {
                                foreach (var spec in new[] { Spec, Spec with { SkipsAnalysis = true }, Spec with { StepWeights = [5, 30], MaxWeight = 30 } })
                                {
                                    count++;
                                    var status = Progressing with { Phase = phase, CanaryWeight = weight, FailedChecks = failed };
                                    var seen = new Observation { TargetHash = hash, Configs = NoConfigs, Primary = primary, Canary = canary, LiveCanaryWeight = weight };
                                    CheckInvariants(status, seen, Run(status, seen, spec, [.. Enum.GetValues<CheckKind>().Select(k => (k, result))]));
                                }
                            }
                        }
                    }
                }
            }
        }

        Assert.Equal(11 * 3 * 3 * 3 * 5 * 3 * 3, count);
    }

    static void CheckInvariants(CanaryStatus before, Observation seen, CanaryDecision decision)
    {
        var weights = decision.Actions.OfType<SetWeight>().Select(w => w.Canary).ToList();
        Assert.All(weights, w => Assert.InRange(w, 0, 100));
        Assert.InRange(decision.Status.CanaryWeight, 0, 100);

        // The template is promoted only when both are healthy, and only out of an analysis.
        if (decision.Actions.OfType<PromoteTemplate>().Any())
        {
            Assert.True(seen.Canary.IsReady);
            Assert.True(before.Phase is CanaryPhase.Progressing or CanaryPhase.WaitingPromotion);
        }

        // Traffic for the canary rises only while it is ready, save for the last resort of a promotion gone wrong.
        if (weights.Exists(w => w > seen.LiveCanaryWeight && w < 100))
        {
            Assert.True(seen.Canary.IsReady);
        }

        // A failed or finished release leaves the canary scaled down, unless it carries the traffic.
        if (decision.Status.Phase == CanaryPhase.Succeeded && before.Phase != CanaryPhase.Succeeded)
        {
            Assert.Contains(new ScaleCanaryDown(), decision.Actions);
        }

        if (decision.Status.Phase == CanaryPhase.Failed && before.Phase != CanaryPhase.Failed)
        {
            Assert.True(decision.Actions.Contains(new ScaleCanaryDown()) || decision.Status.CanaryWeight == 100);
        }
    }
}
