using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Weir.Client;
using Weir.Delivery.Decision;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Values;
using Weir.Telemetry.Prometheus;
using Weir.Telemetry.Signals;

namespace Weir.Delivery.Checks;

/// <summary>A release's metrics: the built-in ones from the proxies' own counters, the others from Prometheus.</summary>
public sealed partial class MetricChecks(ISignals signals, PrometheusClient prometheus, KubeClient client, KindCatalog catalog)
{
    static readonly TimeSpan DefaultWindow = TimeSpan.FromMinutes(1);

    [GeneratedRegex(@"\{\{-?\s*(variables\.)?([A-Za-z0-9_]+)\s*-?\}\}")]
    private static partial Regex Placeholder();

    /// <summary>Checks in the order of the spec, up to the first that does not pass.</summary>
    public async Task<CheckResult> CheckAsync(Resource canary, CancellationToken cancel)
    {
        var passed = new List<string>();
        foreach (var metric in canary.Spec.Objects("analysis", "metrics"))
        {
            var (failure, isUndecided) = await CheckOneAsync(canary, metric, cancel);
            if (failure is not null || isUndecided)
            {
                return new CheckResult(passed, failure, metric.Text("name") ?? "", isUndecided);
            }

            passed.Add(metric.Text("name") ?? "");
        }

        return new CheckResult(passed, null);
    }

    async Task<(string? Failure, bool IsUndecided)> CheckOneAsync(Resource canary, JsonObject metric, CancellationToken cancel)
    {
        var name = $"{canary.Name}.{canary.Namespace}";
        var target = canary.Spec.Text("targetRef", "name") ?? "";
        var window = GoDuration.ParseOr(metric.Text("interval"), DefaultWindow);
        if (metric["templateRef"] is null && metric.Text("query") is null)
        {
            switch (metric.Text("name"))
            {
                case "request-success-rate":
                    return Judge(signals.SuccessRate(canary.Namespace, target, window), rate => CheckSuccessRate(name, metric, rate), NoValues(metric, target, canary));
                case "request-duration":
                    return Judge(signals.Duration(canary.Namespace, target, 0.99, window), ms => CheckDuration(name, metric, ms), NoValues(metric, target, canary));
                default:
                    return ($"Metric query failed for {metric.Text("name")}: it is neither built in nor has it a templateRef or a query", false);
            }
        }

        return (await CheckCustomAsync(canary, metric, name, window, cancel), false);
    }

    static (string?, bool) Judge(Signal signal, Func<double, string?> check, string noValues) => signal.State switch
    {
        SignalState.Warming => (null, true),
        SignalState.NoData => (noValues, false),
        _ => (check(signal.Value), false),
    };

    static string NoValues(JsonObject metric, string target, Resource canary) =>
        $"Halt advancement no values found for istio metric {metric.Text("name")} probably {target}.{canary.Namespace} is not receiving traffic";

    static string? CheckSuccessRate(string name, JsonObject metric, double rate)
    {
        var (minimum, maximum) = Range(metric, isMinimum: true);
        return rate < minimum ? $"Halt {name} advancement success rate {Two(rate)}% < {Short(minimum.Value)}%"
            : rate > maximum ? $"Halt {name} advancement success rate {Two(rate)}% > {Short(maximum.Value)}%"
            : null;
    }

    static string? CheckDuration(string name, JsonObject metric, double milliseconds)
    {
        var (minimum, maximum) = Range(metric, isMinimum: false);
        var seen = TimeSpan.FromMilliseconds(Math.Truncate(milliseconds));
        static string Show(double limit) => GoDuration.Format(TimeSpan.FromMilliseconds(limit));
        return milliseconds < minimum ? $"Halt {name} advancement request duration {GoDuration.Format(seen)} < {Show(minimum.Value)}"
            : milliseconds > maximum ? $"Halt {name} advancement request duration {GoDuration.Format(seen)} > {Show(maximum.Value)}"
            : null;
    }

    async Task<string?> CheckCustomAsync(Resource canary, JsonObject metric, string name, TimeSpan window, CancellationToken cancel)
    {
        var label = metric.Text("name") ?? "";
        var query = metric.Text("query");
        var address = canary.Spec.Text("metricsServer");
        if (metric["templateRef"] is JsonObject reference)
        {
            var key = new ObjectKey(reference.Text("namespace") ?? canary.Namespace, reference.Text("name") ?? "");
            var template = await client.GetAsync(catalog.Get("flagger.app", "MetricTemplate"), key, cancel);
            if (template is null)
            {
                return $"Metric template {key.Name}.{key.Namespace} error: metrictemplates \"{key.Name}\" not found";
            }

            if (template.Spec.Text("provider", "type") is var provider && provider != "prometheus")
            {
                return $"Metric template {key.Name}.{key.Namespace} error: provider {provider} is not supported";
            }

            query = template.Spec.Text("query");
            address = template.Spec.Text("provider", "address");
        }

        if (string.IsNullOrEmpty(address))
        {
            return $"Metric query failed for {label}: no Prometheus address (spec.metricsServer, or the template's provider.address)";
        }

        try
        {
            var value = await prometheus.QueryAsync(address, Render(query ?? "", canary, metric, window), cancel);
            if (double.IsNaN(value))
            {
                return $"Halt advancement no values found for custom metric: {label}: no values found";
            }

            var (minimum, maximum) = Range(metric, isMinimum: false);
            return value < minimum ? $"Halt {name} advancement {label} {Two(value)} < {Short(minimum.Value)}"
                : value > maximum ? $"Halt {name} advancement {label} {Two(value)} > {Short(maximum.Value)}"
                : null;
        }
        catch (Exception e) when (e is PrometheusException or FormatException)
        {
            return $"Metric query failed for {label}: {e.Message}";
        }
    }

    /// <summary>Fills in a query template's placeholders.</summary>
    /// <exception cref="FormatException">A placeholder or variable is not known.</exception>
    internal static string Render(string query, Resource canary, JsonObject metric, TimeSpan window) => Placeholder().Replace(query, match =>
    {
        var name = match.Groups[2].Value;
        if (match.Groups[1].Success)
        {
            return metric.Text("templateVariables", name) ?? throw new FormatException($"variable {name} is not set");
        }

        return name switch
        {
            "name" => canary.Name,
            "namespace" => canary.Namespace,
            "target" => canary.Spec.Text("targetRef", "name") ?? "",
            "service" => Targets.CanaryServices.ApexName(canary),
            "ingress" => canary.Spec.Text("ingressRef", "name") ?? "",
            "route" => canary.Spec.Text("routeRef", "name") ?? "",
            "interval" => GoDuration.Format(window),
            _ => throw new FormatException($"function \"{name}\" not defined"),
        };
    });

    /// <summary>Without a range the old single threshold counts: at least it for rates, at most it for the rest.</summary>
    static (double? Minimum, double? Maximum) Range(JsonObject metric, bool isMinimum)
    {
        if (metric["thresholdRange"] is JsonObject range)
        {
            return (range.Real("min"), range.Real("max"));
        }

        var threshold = metric.Real("threshold") ?? 0;
        return isMinimum ? (threshold, null) : (null, threshold);
    }

    static string Two(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    static string Short(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
