using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Delivery.Checks;
using Weir.Delivery.Decision;
using Weir.Delivery.Routing;
using Weir.Delivery.Targets;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Delivery;

/// <summary>
/// Brings releases forward: observes, lets <see cref="CanaryDecider"/> decide, carries out, writes down. It holds no state of a
/// release but when its next step is due.
/// </summary>
public sealed class CanaryController : Controller
{
    const string Finalizer = "finalizer.flagger.app";

    /// <summary>More checks than there are kinds cannot be asked for in one decision.</summary>
    const int MaximumChecks = 10;

    readonly KubeClient client;
    readonly ResourceKind canaries;
    readonly ResourceKind deployments;
    readonly EventRecorder events;
    readonly ConfigTracker configs;
    readonly PrimaryDeployment primaries;
    readonly CanaryServices services;
    readonly PrimaryAutoscaler autoscalers;
    readonly IMeshRouter router;
    readonly Webhooks webhooks;
    readonly MetricChecks metrics;
    readonly ConcurrentDictionary<ObjectKey, DateTimeOffset> due = [];

    public CanaryController(
        KubeClient client, KindCatalog catalog, Informers informers, IMeshRouter router, Webhooks webhooks, MetricChecks metrics,
        TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        this.router = router;
        this.webhooks = webhooks;
        this.metrics = metrics;
        canaries = catalog.Get("flagger.app", "Canary");
        deployments = catalog.Get("apps", "Deployment");
        events = new EventRecorder(client, catalog, time, "flagger");
        configs = new ConfigTracker(client, catalog);
        primaries = new PrimaryDeployment(client, catalog, configs);
        services = new CanaryServices(client, catalog);
        autoscalers = new PrimaryAutoscaler(client, catalog);
        var known = Watch(informers.For("flagger.app", "Canary"));
        informers.For("apps", "Deployment").OnChange(change =>
        {
            foreach (var canary in known.In(change.Resource.Namespace))
            {
                var target = canary.Spec.Text("targetRef", "name");
                if (change.Resource.Name == target || change.Resource.Name == target + "-primary")
                {
                    Queue.Add(canary.Key);
                }
            }
        });
    }

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        var canary = await client.GetAsync(canaries, key, cancel);
        if (canary is null)
        {
            due.TryRemove(key, out _);
            return null;
        }

        if (canary.IsDeleting)
        {
            return await RevertAsync(canary, cancel);
        }

        await KeepFinalizerAsync(canary, cancel);
        var spec = CanarySpec.From(canary);
        if (spec.IsSuspended)
        {
            return null;
        }

        if (spec.Unsupported.Count > 0)
        {
            foreach (var reason in spec.Unsupported)
            {
                await events.RecordAsync(canary, true, "Unsupported", reason, cancel);
            }

            return null;
        }

        var status = CanaryStatus.From(canary);
        if (IsPaced(status.Phase))
        {
            var now = Time.GetUtcNow();
            if (due.TryGetValue(key, out var next) && now < next)
            {
                return next - now;
            }

            due[key] = now + spec.Interval;
        }

        await StepAsync(canary, spec, status, cancel);
        return spec.Interval;
    }

    /// <summary>Steps of an analysis keep their interval; everything else follows the events it waits for.</summary>
    static bool IsPaced(CanaryPhase phase) =>
        phase is CanaryPhase.Progressing or CanaryPhase.WaitingPromotion or CanaryPhase.Waiting or CanaryPhase.Finalising;

    async Task StepAsync(Resource canary, CanarySpec spec, CanaryStatus status, CancellationToken cancel)
    {
        if (status.Phase == CanaryPhase.None)
        {
            status = status with { Phase = CanaryPhase.Initializing };
            await WriteStatusAsync(canary, status, cancel);
        }

        var target = await client.GetAsync(deployments, new ObjectKey(canary.Namespace, spec.Target), cancel);
        if (target is null)
        {
            await TellAsync(canary, status.Phase, new CanaryEvent(true, $"deployments.apps \"{spec.Target}\" not found: spec.targetRef.name names no Deployment in namespace {canary.Namespace}"), cancel);
            return;
        }

        if (PrimaryDeployment.SelectorOf(target) is null)
        {
            await TellAsync(canary, status.Phase, new CanaryEvent(true,
                $"deployment {spec.Target}.{canary.Namespace} spec.selector.matchLabels must contain one of [app,name,app.kubernetes.io/name]"), cancel);
            return;
        }

        Observation observation;
        try
        {
            observation = await ObserveAsync(canary, spec, status, target, cancel);
        }
        catch (KubeApiException e)
        {
            await TellAsync(canary, status.Phase, new CanaryEvent(true, e.Message), cancel);
            return;
        }

        var decision = await DecideAsync(canary, spec, status, observation, cancel);
        foreach (var action in decision.Actions)
        {
            await ActAsync(canary, target, action, cancel);
        }

        await WriteStatusAsync(canary, decision.Status, cancel);
        foreach (var e in decision.Events)
        {
            await TellAsync(canary, decision.Status.Phase, e, cancel);
        }

        if (decision.Status.Phase != status.Phase)
        {
            // The first step of a phase comes an interval after it was entered.
            due[canary.Key] = Time.GetUtcNow() + spec.Interval;
        }
    }

    /// <summary>Makes sure of the objects of the release, and sees how they are.</summary>
    async Task<Observation> ObserveAsync(Resource canary, CanarySpec spec, CanaryStatus status, Resource target, CancellationToken cancel)
    {
        var isInitial = status.Phase is CanaryPhase.None or CanaryPhase.Initializing;
        await services.EnsureVariantsAsync(canary, target, cancel);
        var primary = await client.GetAsync(deployments, new ObjectKey(canary.Namespace, spec.Target + "-primary"), cancel)
            ?? await primaries.CreateAsync(canary, target, cancel);
        await autoscalers.SyncAsync(canary, refresh: false, cancel);
        var primaryReadiness = RolloutReadiness.Of(primary, spec.PrimaryReadyThreshold, spec.ProgressDeadline, Time.GetUtcNow());
        if (!isInitial || primaryReadiness.IsReady || spec.SkipsAnalysis)
        {
            // Not before the primary serves: until then the service and the routes stay as they were.
            await services.EnsureApexAsync(canary, target, cancel);
            await router.ReconcileAsync(canary, cancel);
        }

        return new Observation
        {
            TargetHash = ContentHash.Of(target.Spec["template"]),
            Configs = await configs.FindAsync(target, cancel),
            Primary = primaryReadiness,
            Canary = RolloutReadiness.Of(target, spec.CanaryReadyThreshold, spec.ProgressDeadline, Time.GetUtcNow()),
            LiveCanaryWeight = await router.GetCanaryWeightAsync(canary, cancel),
        };
    }

    async Task<CanaryDecision> DecideAsync(Resource canary, CanarySpec spec, CanaryStatus status, Observation observation, CancellationToken cancel)
    {
        for (var i = 0; i < MaximumChecks; i++)
        {
            var decision = CanaryDecider.Decide($"{canary.Name}.{canary.Namespace}", canary.Namespace, spec, status, observation);
            if (decision.Needs is not { } kind)
            {
                return decision;
            }

            observation = observation.With(kind, await RunChecksAsync(canary, kind, status.Phase, cancel));
        }

        throw new InvalidOperationException($"the decision on {canary.Key} asked for more than {MaximumChecks} checks");
    }

    Task<CheckResult> RunChecksAsync(Resource canary, CheckKind kind, CanaryPhase phase, CancellationToken cancel) =>
        kind == CheckKind.Metrics
            ? metrics.CheckAsync(canary, cancel)
            : webhooks.CallAsync(canary, kind, kind switch
            {
                CheckKind.ConfirmRollout or CheckKind.Rollback => phase,
                CheckKind.PostRollout => phase == CanaryPhase.Finalising ? CanaryPhase.Succeeded : CanaryPhase.Failed,
                _ => CanaryPhase.Progressing,
            }, cancel);

    Task ActAsync(Resource canary, Resource target, CanaryAction action, CancellationToken cancel) => action switch
    {
        CanaryAction.SetWeight weight => router.SetCanaryWeightAsync(canary, weight.Canary, cancel),
        CanaryAction.ScaleCanaryUp => ScaleUpAsync(canary, target, cancel),
        CanaryAction.ScaleCanaryDown => ScaleAsync(target.Key, 0, cancel),
        CanaryAction.PromoteTemplate => primaries.PromoteAsync(canary, target, !PrimaryAutoscaler.IsUsed(canary), cancel),
        CanaryAction.SyncAutoscaler => autoscalers.SyncAsync(canary, refresh: true, cancel),
        _ => throw new InvalidOperationException($"unknown action {action}"),
    };

    async Task ScaleUpAsync(Resource canary, Resource target, CancellationToken cancel)
    {
        var current = target.Spec.Number("replicas") ?? 1;
        if (current > 0)
        {
            return;
        }

        var primary = await client.GetAsync(deployments, new ObjectKey(target.Namespace, target.Name + "-primary"), cancel);
        var size = primary?.Spec.Number("replicas") is > 0 and var replicas ? replicas : await autoscalers.MinimumAsync(canary, cancel) ?? 1;
        await ScaleAsync(target.Key, size, cancel);
    }

    Task<WriteResult> ScaleAsync(ObjectKey target, long replicas, CancellationToken cancel) =>
        client.PatchAsync(deployments, target, new JsonObject { ["spec"] = new JsonObject { ["replicas"] = replicas } }, cancel);

    async Task WriteStatusAsync(Resource canary, CanaryStatus status, CancellationToken cancel)
    {
        await client.ChangeAsync(canaries, canary.Key, fresh =>
        {
            var next = status.ToJson(fresh.Status, Time.GetUtcNow());
            if (fresh.Uid != canary.Uid || JsonNode.DeepEquals(next, fresh.Json["status"]))
            {
                return false;
            }

            fresh.Json["status"] = next;
            return true;
        }, cancel, isStatus: true);
    }

    async Task TellAsync(Resource canary, CanaryPhase phase, CanaryEvent e, CancellationToken cancel)
    {
        Log.LogInformation("{Canary}: {Message}", canary.Key, e.Message);
        await events.RecordAsync(canary, e.IsWarning, "Synced", e.Message, cancel);
        foreach (var failure in await webhooks.SendEventAsync(canary, phase, e, cancel))
        {
            Log.LogWarning("{Canary}: {Failure}", canary.Key, failure);
        }
    }

    /// <summary>The finalizer stands exactly while the spec asks for the target to be put back.</summary>
    async Task KeepFinalizerAsync(Resource canary, CancellationToken cancel)
    {
        var wanted = canary.Spec.Flag("revertOnDeletion");
        var present = canary.Metadata.Texts("finalizers").Contains(Finalizer);
        if (wanted == present)
        {
            return;
        }

        await client.ChangeAsync(canaries, canary.Key, fresh =>
        {
            var others = fresh.Metadata.Texts("finalizers").Where(f => f != Finalizer);
            fresh.Metadata["finalizers"] = new JsonArray([.. (wanted ? others.Append(Finalizer) : others).Select(f => JsonValue.Create(f))]);
            return true;
        }, cancel);
    }

    /// <summary>Puts the target back to the primary's size before the release's objects go.</summary>
    async Task<TimeSpan?> RevertAsync(Resource canary, CancellationToken cancel)
    {
        if (!canary.Metadata.Texts("finalizers").Contains(Finalizer))
        {
            return null;
        }

        var spec = CanarySpec.From(canary);
        var target = await client.GetAsync(deployments, new ObjectKey(canary.Namespace, spec.Target), cancel);
        if (target is not null)
        {
            if (canary.Status.Text("phase") != nameof(CanaryPhase.Terminating))
            {
                await TellAsync(canary, CanaryPhase.Terminating, new CanaryEvent(false, $"Terminating canary {canary.Name}.{canary.Namespace}"), cancel);
                await WriteStatusAsync(canary, CanaryStatus.From(canary) with { Phase = CanaryPhase.Terminating }, cancel);
            }

            await ScaleUpAsync(canary, target, cancel);
            if (!RolloutReadiness.Of(target, spec.CanaryReadyThreshold, spec.ProgressDeadline, Time.GetUtcNow()).IsReady)
            {
                return TimeSpan.FromSeconds(1);
            }

            await services.RestoreApexAsync(canary, target, cancel);
        }

        await TellAsync(canary, CanaryPhase.Terminating, new CanaryEvent(false, $"Terminated canary {canary.Name}.{canary.Namespace}"), cancel);
        await client.ChangeAsync(canaries, canary.Key, fresh =>
        {
            fresh.Metadata["finalizers"] = new JsonArray([.. fresh.Metadata.Texts("finalizers").Where(f => f != Finalizer).Select(f => JsonValue.Create(f))]);
            return true;
        }, cancel);
        return null;
    }
}
