using static Weir.Delivery.Decision.CanaryAction;

namespace Weir.Delivery.Decision;

/// <summary>
/// The progressive delivery state machine: from what was, what is and what is wanted, to what is done next. A pure function; all
/// its inputs are arguments, all its effects are in the result.
/// </summary>
public static class CanaryDecider
{
    /// <param name="name">Of the canary, with its namespace: <c>podinfo.test</c>.</param>
    public static CanaryDecision Decide(string name, string ns, CanarySpec spec, CanaryStatus status, Observation seen)
    {
        var step = new Step(name, $"{spec.Target}.{ns}", $"{spec.Target}-primary.{ns}", spec, status, seen);
        return status.Phase switch
        {
            CanaryPhase.None or CanaryPhase.Initializing => step.Initialize(),
            CanaryPhase.Initialized or CanaryPhase.Succeeded or CanaryPhase.Failed or CanaryPhase.Waiting => step.DetectRevision(),
            CanaryPhase.Progressing or CanaryPhase.WaitingPromotion => step.Analyse(),
            CanaryPhase.Promoting => step.FinishPromotion(),
            CanaryPhase.Finalising => step.Finalise(),
            _ => step.Stay(),
        };
    }

    /// <summary>One decision: the names for its messages and its inputs.</summary>
    sealed record Step(string Name, string Target, string PrimaryTarget, CanarySpec Spec, CanaryStatus Status, Observation Seen)
    {
        readonly List<CanaryAction> actions = [];
        readonly List<CanaryEvent> events = [];

        public CanaryDecision Stay() => Done(Status);

        public CanaryDecision Initialize()
        {
            var initializing = Status with { Phase = CanaryPhase.Initializing };
            if (!Seen.Primary.IsReady && !Spec.SkipsAnalysis)
            {
                Warn($"{PrimaryTarget} not ready: {Seen.Primary.Message}");
                return Done(initializing);
            }

            // What runs now is what the primary was made of: it counts as applied and promoted.
            actions.Add(new SetWeight(0));
            actions.Add(new ScaleCanaryDown());
            Tell($"Initialization done! {Name}");
            return Done(new CanaryStatus
            {
                Phase = CanaryPhase.Initialized,
                LastAppliedSpec = Seen.TargetHash,
                LastPromotedSpec = Seen.TargetHash,
                TrackedConfigs = Seen.Configs,
            });
        }

        /// <summary>Going back to what was promoted is no new revision.</summary>
        bool IsNewRevision =>
            (Seen.TargetHash != Status.LastAppliedSpec && Seen.TargetHash != Status.LastPromotedSpec) || HaveConfigsChanged;

        bool HaveConfigsChanged =>
            Seen.Configs.Count != Status.TrackedConfigs.Count
            || Seen.Configs.Any(c => !Status.TrackedConfigs.TryGetValue(c.Key, out var hash) || hash != c.Value);

        public CanaryDecision DetectRevision()
        {
            if (!IsNewRevision)
            {
                // A wait for approval of a revision that has been taken back is over.
                return Status.Phase == CanaryPhase.Waiting ? Done(Status with { Phase = CanaryPhase.Initialized }) : Stay();
            }

            if (Missing(CheckKind.ConfirmRollout, out var gate))
            {
                return Need(CheckKind.ConfirmRollout);
            }

            if (!gate.HasPassed)
            {
                if (Status.Phase != CanaryPhase.Waiting)
                {
                    Warn($"Halt {Name} advancement waiting for approval {gate.FailedName}");
                }

                return Done(Status with { Phase = CanaryPhase.Waiting });
            }

            TellPassed("Confirm-rollout", gate);
            Tell($"New revision detected! Scaling up {Target}");
            actions.Add(new ScaleCanaryUp());
            return Done(Begin());
        }

        CanaryStatus Begin() => Status with
        {
            Phase = CanaryPhase.Progressing,
            FailedChecks = 0,
            CanaryWeight = 0,
            Iterations = 0,
            LastAppliedSpec = Seen.TargetHash,
            TrackedConfigs = Seen.Configs,
        };

        public CanaryDecision Analyse()
        {
            if (Seen.TargetHash != Status.LastAppliedSpec || HaveConfigsChanged)
            {
                Tell($"New revision detected! Restarting analysis for {Target}");
                actions.Add(new SetWeight(0));
                actions.Add(new ScaleCanaryUp());
                return Done(Begin());
            }

            if (!Seen.Primary.IsReady && !Spec.SkipsAnalysis)
            {
                Warn($"{PrimaryTarget} not ready: {Seen.Primary.Message}");
                return Seen.Primary.IsRetriable ? Stay() : RollBack();
            }

            if (!Seen.Canary.IsReady)
            {
                Warn($"canary deployment {Target} not ready: {Seen.Canary.Message}");
                return Seen.Canary.IsRetriable ? Stay() : RollBack();
            }

            if (Spec.SkipsAnalysis)
            {
                return Skip();
            }

            if (Missing(CheckKind.Rollback, out var rollback))
            {
                return Need(CheckKind.Rollback);
            }

            // A rollback hook that answers well is asking for one.
            if (rollback.Passed.Count > 0)
            {
                Warn($"Rolling back {Name} manual webhook invoked");
                return RollBack();
            }

            if (Status.FailedChecks >= Spec.Threshold)
            {
                Warn($"Rolling back {Name} failed checks threshold reached {Status.FailedChecks}");
                return RollBack();
            }

            return Status.HasStarted || Status.Phase == CanaryPhase.WaitingPromotion ? Check() : Start();
        }

        CanaryDecision Start()
        {
            if (Missing(CheckKind.PreRollout, out var checks))
            {
                return Need(CheckKind.PreRollout);
            }

            if (!checks.HasPassed)
            {
                Warn($"Halt {Name} advancement pre-rollout check {checks.FailedName} failed {checks.Failure}");
                return Done(Status with { FailedChecks = Status.FailedChecks + 1 });
            }

            if (Missing(CheckKind.ConfirmTrafficIncrease, out var gate))
            {
                return Need(CheckKind.ConfirmTrafficIncrease);
            }

            if (!gate.HasPassed)
            {
                return HoldTraffic(gate);
            }

            TellPassed("Pre-rollout", checks);
            Tell($"Starting canary analysis for {Target}");
            TellPassed("Confirm-traffic-increase", gate);
            return Advance();
        }

        /// <summary>The webhooks and the metrics that every further step needs.</summary>
        CanaryDecision Check()
        {
            if (Missing(CheckKind.Rollout, out var hooks))
            {
                return Need(CheckKind.Rollout);
            }

            if (!hooks.HasPassed)
            {
                Warn($"Halt {Name} advancement external check {hooks.FailedName} failed {hooks.Failure}");
                return Done(Status with { FailedChecks = Status.FailedChecks + 1 });
            }

            if (Missing(CheckKind.Metrics, out var metrics))
            {
                return Need(CheckKind.Metrics);
            }

            if (metrics.IsUndecided)
            {
                return Stay();
            }

            if (!metrics.HasPassed)
            {
                Warn(metrics.Failure!);
                return Done(Status with { FailedChecks = Status.FailedChecks + 1 });
            }

            var live = Math.Max(Status.CanaryWeight, Status.Phase == CanaryPhase.WaitingPromotion ? Seen.LiveCanaryWeight : 0);
            if (Missing(CheckKind.ConfirmTrafficIncrease, out var gate))
            {
                return Need(CheckKind.ConfirmTrafficIncrease);
            }

            if (!gate.HasPassed)
            {
                return HoldTraffic(gate);
            }

            TellPassed("Confirm-traffic-increase", gate);
            return live >= Spec.MaxWeight ? Promote() : Advance();
        }

        CanaryDecision HoldTraffic(CheckResult gate)
        {
            Warn($"Halt {Name} advancement waiting for traffic increase approval {gate.FailedName}");
            return Stay();
        }

        CanaryDecision Advance()
        {
            var weight = Spec.NextWeight(Status.CanaryWeight);
            Tell($"Advance {Name} canary weight {weight}");
            actions.Add(new SetWeight(weight));
            return Done(Status with { Phase = CanaryPhase.Progressing, CanaryWeight = weight });
        }

        CanaryDecision Promote()
        {
            if (Missing(CheckKind.ConfirmPromotion, out var gate))
            {
                return Need(CheckKind.ConfirmPromotion);
            }

            if (!gate.HasPassed)
            {
                if (Status.Phase != CanaryPhase.WaitingPromotion)
                {
                    Warn($"Halt {Name} advancement waiting for promotion approval {gate.FailedName}");
                }

                return Done(Status with { Phase = CanaryPhase.WaitingPromotion });
            }

            TellPassed("Confirm-promotion", gate);
            Tell($"Copying {Target} template spec to {PrimaryTarget}");
            actions.Add(new PromoteTemplate());

            // Until the primary has rolled, the canary serves its share.
            return Done(Status with { Phase = CanaryPhase.Promoting, CanaryWeight = Math.Max(Status.CanaryWeight, Seen.LiveCanaryWeight) });
        }

        public CanaryDecision FinishPromotion()
        {
            if (!Seen.Primary.IsReady)
            {
                return Seen.Primary.IsRetriable ? WaitForPrimary() : FailPromotion();
            }

            actions.Add(new SyncAutoscaler());
            if (Spec.StepWeightPromotion > 0 && Seen.LiveCanaryWeight > Spec.StepWeightPromotion)
            {
                var canary = Seen.LiveCanaryWeight - Spec.StepWeightPromotion;
                Tell($"Advance {Name} primary weight {100 - canary}");
                actions.Add(new SetWeight(canary));
                return Done(Status with { CanaryWeight = canary });
            }

            Tell("Routing all traffic to primary");
            actions.Add(new SetWeight(0));
            return Done(Status with { Phase = CanaryPhase.Finalising, CanaryWeight = 0, LastPromotedSpec = Status.LastAppliedSpec });
        }

        CanaryDecision WaitForPrimary()
        {
            Warn($"{PrimaryTarget} not ready: {Seen.Primary.Message}");
            return Stay();
        }

        /// <summary>The primary is broken and the canary has proved itself: the canary carries on alone.</summary>
        CanaryDecision FailPromotion()
        {
            Warn($"Promotion of {Target} failed, primary not ready: {Seen.Primary.Message}");
            actions.Add(new SetWeight(100));
            return Done(Status with { Phase = CanaryPhase.Failed, CanaryWeight = 100, FailedChecks = 0 });
        }

        public CanaryDecision Finalise()
        {
            if (!Seen.Primary.IsReady && !Seen.Primary.IsRetriable)
            {
                return FailPromotion();
            }

            if (Missing(CheckKind.PostRollout, out var hooks))
            {
                return Need(CheckKind.PostRollout);
            }

            actions.Add(new ScaleCanaryDown());
            Tell($"Promotion completed! Scaling down {Target}");
            TellPostRollout(hooks);
            return Done(Status with { Phase = CanaryPhase.Succeeded, CanaryWeight = 0, FailedChecks = 0, Iterations = 0 });
        }

        CanaryDecision Skip()
        {
            if (Missing(CheckKind.PostRollout, out var hooks))
            {
                return Need(CheckKind.PostRollout);
            }

            actions.Add(new SetWeight(0));
            actions.Add(new PromoteTemplate());
            actions.Add(new ScaleCanaryDown());
            Tell($"Promotion completed! Canary analysis was skipped for {Target}");
            TellPostRollout(hooks);
            return Done(Status with
            {
                Phase = CanaryPhase.Succeeded,
                CanaryWeight = 0,
                FailedChecks = 0,
                LastPromotedSpec = Status.LastAppliedSpec,
            });
        }

        CanaryDecision RollBack()
        {
            if (Missing(CheckKind.PostRollout, out var hooks))
            {
                return Need(CheckKind.PostRollout);
            }

            actions.Add(new SetWeight(0));
            actions.Add(new ScaleCanaryDown());
            Warn($"Canary failed! Scaling down {Name}");
            TellPostRollout(hooks);
            return Done(Status with { Phase = CanaryPhase.Failed, CanaryWeight = 0, FailedChecks = 0, Iterations = 0 });
        }

        void TellPostRollout(CheckResult hooks)
        {
            TellPassed("Post-rollout", hooks);
            if (!hooks.HasPassed)
            {
                Warn($"Post-rollout hook {hooks.FailedName} failed {hooks.Failure}");
            }
        }

        void TellPassed(string kind, CheckResult result)
        {
            foreach (var name in result.Passed)
            {
                Tell($"{kind} check {name} passed");
            }
        }

        bool Missing(CheckKind kind, out CheckResult result) => !Seen.Checks.TryGetValue(kind, out result!);

        CanaryDecision Need(CheckKind kind) => new(kind, [], Status, []);

        CanaryDecision Done(CanaryStatus status) => new(null, actions, status, events);

        void Tell(string message) => events.Add(new CanaryEvent(false, message));

        void Warn(string message) => events.Add(new CanaryEvent(true, message));
    }
}
