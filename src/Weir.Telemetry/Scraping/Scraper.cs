using Microsoft.Extensions.Logging;
using Weir.Telemetry.Signals;

namespace Weir.Telemetry.Scraping;

/// <param name="Id">Stands for one life of one proxy: counters under another id start anew.</param>
public sealed record ScrapeTarget(string Id, Uri Url);

/// <summary>Reads the proxies' counters again and again into the store.</summary>
public sealed class Scraper(Func<IReadOnlyCollection<ScrapeTarget>> targets, SignalStore store, HttpMessageInvoker http, TimeProvider time, ILogger log)
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    /// <summary>Proxies asked at the same time.</summary>
    const int MaximumParallel = 16;

    public async Task RunAsync(CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancel))
            {
                var current = targets();
                await Parallel.ForEachAsync(
                    current, new ParallelOptions { MaxDegreeOfParallelism = MaximumParallel, CancellationToken = cancel }, ScrapeAsync);
                store.EndRound([.. current.Select(t => t.Id)], time.GetUtcNow());
            }
        }
        catch (OperationCanceledException)
        {
            // The program is ending.
        }
    }

    async ValueTask ScrapeAsync(ScrapeTarget target, CancellationToken cancel)
    {
        using var limit = new CancellationTokenSource(Limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, target.Url);
            using var response = await http.SendAsync(request, either.Token);
            if (response.IsSuccessStatusCode)
            {
                var text = await response.Content.ReadAsStringAsync(either.Token);
                store.Add(target.Id, PrometheusTextReader.Read(text, SignalStore.Metrics), time.GetUtcNow());
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            // A proxy that starts or ends; the next round asks again.
            log.LogDebug("scraping {Target}: {Error}", target.Url, e.Message);
        }
    }
}
