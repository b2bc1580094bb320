using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polly;
using Polly.Retry;
using Weir.Delivery.Decision;
using Weir.Resources;
using Weir.Resources.Values;

namespace Weir.Delivery.Checks;

/// <summary>Calls a release's webhooks, as Flagger does: POST of JSON, good up to status 202.</summary>
public sealed class Webhooks(HttpClient http, TimeProvider time)
{
    static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(10);

    /// <summary>An answer longer than this is cut in messages.</summary>
    const int MaximumShown = 500;

    public static string TypeName(CheckKind kind) => kind switch
    {
        CheckKind.ConfirmRollout => "confirm-rollout",
        CheckKind.PreRollout => "pre-rollout",
        CheckKind.Rollback => "rollback",
        CheckKind.ConfirmTrafficIncrease => "confirm-traffic-increase",
        CheckKind.ConfirmPromotion => "confirm-promotion",
        CheckKind.PostRollout => "post-rollout",
        _ => "rollout",
    };

    /// <summary>Calls all webhooks of a kind in their order, up to the first that does not pass.</summary>
    public async Task<CheckResult> CallAsync(Resource canary, CheckKind kind, CanaryPhase phase, CancellationToken cancel)
    {
        var passed = new List<string>();
        foreach (var hook in Of(canary, TypeName(kind)))
        {
            var name = hook.Text("name") ?? "";
            if (await PostAsync(hook, Payload(canary, phase, hook["metadata"]), cancel) is { } failure)
            {
                return new CheckResult(passed, failure, name);
            }

            passed.Add(name);
        }

        return new CheckResult(passed, null);
    }

    /// <summary>Tells the release's event webhooks; what they answer changes nothing.</summary>
    /// <returns>What went wrong, for the log.</returns>
    public async Task<IReadOnlyList<string>> SendEventAsync(Resource canary, CanaryPhase phase, CanaryEvent e, CancellationToken cancel)
    {
        var failures = new List<string>();
        foreach (var hook in Of(canary, "event"))
        {
            var metadata = hook["metadata"]?.DeepClone() as JsonObject ?? [];
            metadata["eventMessage"] = e.Message;
            metadata["eventType"] = e.IsWarning ? "Warning" : "Normal";
            metadata["timestamp"] = time.GetUtcNow().ToUnixTimeMilliseconds().ToString();
            if (await PostAsync(hook, Payload(canary, phase, metadata), cancel) is { } failure)
            {
                failures.Add($"event webhook {hook.Text("name")}: {failure}");
            }
        }

        return failures;
    }

    static IEnumerable<JsonObject> Of(Resource canary, string type) => canary.Spec.Objects("analysis", "webhooks")
        .Where(h => (h.Text("type") is { Length: > 0 } t ? t : "rollout") == type);

    static JsonObject Payload(Resource canary, CanaryPhase phase, JsonNode? metadata)
    {
        var payload = new JsonObject
        {
            ["name"] = canary.Name,
            ["namespace"] = canary.Namespace,
            ["phase"] = phase.ToString(),
            ["checksum"] = Targets.ContentHash.Of(new JsonObject
            {
                ["trackedConfigs"] = canary.Status["trackedConfigs"]?.DeepClone(),
                ["lastAppliedSpec"] = canary.Status.Text("lastAppliedSpec"),
            }),
        };
        if (metadata is not null)
        {
            payload["metadata"] = metadata.DeepClone();
        }

        return payload;
    }

    async Task<string?> PostAsync(JsonObject hook, JsonObject payload, CancellationToken cancel)
    {
        var url = hook.Text("url") ?? "";
        var retries = (int)(hook.Number("retries") ?? 0);
        var timeout = GoDuration.ParseOr(hook.Text("timeout"), DefaultTimeout);
        var body = JsonSerializer.SerializeToUtf8Bytes(payload, Resource.JsonOptions);
        var pipeline = new ResiliencePipelineBuilder<string?> { TimeProvider = time };
        if (retries > 0)
        {
            pipeline.AddRetry(new RetryStrategyOptions<string?>
            {
                MaxRetryAttempts = Math.Min(retries, 100),
                BackoffType = DelayBackoffType.Exponential,
                Delay = TimeSpan.FromSeconds(1),
                MaxDelay = TimeSpan.FromSeconds(30),
                ShouldHandle = args => ValueTask.FromResult(args.Outcome.Result is { } failure && !failure.StartsWith('4')),
            });
        }

        return await pipeline.Build().ExecuteAsync(async token => await AttemptAsync(url, body, timeout, token), cancel);
    }

    async Task<string?> AttemptAsync(string url, byte[] body, TimeSpan timeout, CancellationToken cancel)
    {
        using var limit = new CancellationTokenSource(timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        try
        {
            using var content = new ByteArrayContent(body);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            using var response = await http.PostAsync(new Uri(url), content, either.Token);
            if (response.StatusCode <= HttpStatusCode.Accepted)
            {
                return null;
            }

            var text = await response.Content.ReadAsStringAsync(either.Token);
            return $"{(int)response.StatusCode} {(text.Length > MaximumShown ? text[..MaximumShown] : text)}".Trim();
        }
        catch (HttpRequestException e)
        {
            return $"POST {url}: {e.Message}";
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return $"POST {url}: no answer within {GoDuration.Format(timeout)}";
        }
    }
}
