using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Node.Pods;

/// <summary>Runs a container's probes: startup first, then liveness and readiness side by side.</summary>
sealed class ProbeLoop(Prober prober, TimeProvider time, Action onChange, Action<string> onUnhealthy)
{
    /// <summary>While a container has yet to become ready, it is asked more often than its period says, so that rollouts are quick.</summary>
    static readonly TimeSpan EagerPeriod = TimeSpan.FromMilliseconds(100);
    static readonly TimeSpan EagerFor = TimeSpan.FromSeconds(10);

    public async Task RunAsync(ContainerState container, string address, CancellationToken cancel)
    {
        try
        {
            if (container.Spec["startupProbe"] is JsonObject startup)
            {
                await RepeatAsync(startup, container, address, isEager: true, ok => container.IsStarted = ok, untilSuccess: true, kills: true, cancel);
            }

            container.IsStarted = true;
            var liveness = container.Spec["livenessProbe"] is JsonObject live
                ? RepeatAsync(live, container, address, isEager: false, _ => { }, untilSuccess: false, kills: true, cancel)
                : Task.CompletedTask;
            if (container.Spec["readinessProbe"] is JsonObject ready)
            {
                await RepeatAsync(ready, container, address, isEager: true, ok => container.IsReady = ok, untilSuccess: false, kills: false, cancel);
            }
            else
            {
                container.IsReady = true;
                onChange();
            }

            await liveness;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // The container has ended.
        }
    }

    async Task RepeatAsync(
        JsonObject probe, ContainerState container, string address, bool isEager, Action<bool> report, bool untilSuccess, bool kills, CancellationToken cancel)
    {
        var period = TimeSpan.FromSeconds(probe.Number("periodSeconds") ?? 10);
        var timeout = TimeSpan.FromSeconds(probe.Number("timeoutSeconds") ?? 1);
        var successThreshold = probe.Number("successThreshold") ?? 1;
        var failureThreshold = probe.Number("failureThreshold") ?? 3;
        int successes = 0, failures = 0;
        bool? state = null;
        var began = time.GetUtcNow();
        await Task.Delay(TimeSpan.FromSeconds(probe.Number("initialDelaySeconds") ?? 0), time, cancel);
        while (true)
        {
            var error = await AttemptAsync(probe, container, address, timeout, cancel);
            (successes, failures) = error is null ? (successes + 1, 0) : (0, failures + 1);
            var isStarting = isEager && state is null && time.GetUtcNow() - began < EagerFor;
            bool? next = successes >= successThreshold ? true : failures >= failureThreshold && !isStarting ? false : null;
            if (error is not null && !isStarting)
            {
                onUnhealthy(error);
            }

            if (next is { } value && value != state)
            {
                state = value;
                report(value);
                if (kills && !value)
                {
                    container.LivenessFailure = error;
                }

                onChange();
                if ((untilSuccess && value) || (kills && !value))
                {
                    return;
                }
            }

            await Task.Delay(isStarting && state is null ? EagerPeriod : period, time, cancel);
        }
    }

    async Task<string?> AttemptAsync(JsonObject probe, ContainerState container, string address, TimeSpan timeout, CancellationToken cancel)
    {
        using var limit = new CancellationTokenSource(timeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        var error = await prober.ProbeAsync(probe, container.Spec, address, container.Command!, linked.Token);
        cancel.ThrowIfCancellationRequested();
        return error;
    }
}
