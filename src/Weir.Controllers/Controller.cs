using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Resources;

namespace Weir.Controllers;

/// <summary>A reconcile loop: keys come from informers, each is brought from what is to what should be.</summary>
public abstract class Controller<TKey>(TimeProvider time, ILogger log)
    where TKey : notnull
{
    protected WorkQueue<TKey> Queue { get; } = new(time);

    protected TimeProvider Time { get; } = time;

    protected ILogger Log { get; } = log;

    protected virtual int Workers => 2;

    /// <returns>When to look again although nothing changed, or null.</returns>
    protected abstract Task<TimeSpan?> ReconcileAsync(TKey key, CancellationToken cancel);

    public Task RunAsync(CancellationToken cancel) =>
        Task.WhenAll(Enumerable.Range(0, Workers).Select(_ => Task.Run(() => WorkAsync(cancel), CancellationToken.None)));

    async Task WorkAsync(CancellationToken cancel)
    {
        while (true)
        {
            TKey key;
            try
            {
                key = await Queue.TakeAsync(cancel);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            var failed = true;
            try
            {
                var again = await ReconcileAsync(key, cancel);
                failed = false;
                if (again is { } delay)
                {
                    Queue.AddAfter(key, delay);
                }
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is KubeApiException or HttpRequestException or IOException)
            {
                Log.LogWarning("{Controller} {Key}: {Error}", GetType().Name, key, e.Message);
            }
#pragma warning disable CA1031 // The loop's top: a bug in one object must not stop the others.
            catch (Exception e)
#pragma warning restore CA1031
            {
                Log.LogError(e, "{Controller} {Key} failed", GetType().Name, key);
            }

            Queue.Done(key, failed);
        }
    }
}

/// <summary>A controller of namespaced or cluster-wide objects.</summary>
public abstract class Controller(TimeProvider time, ILogger log) : Controller<ObjectKey>(time, log)
{
    /// <summary>Queues every object of this kind when it changes.</summary>
    protected Informer Watch(Informer informer)
    {
        informer.OnChange(change => Queue.Add(change.Resource.Key));
        return informer;
    }

    /// <summary>Queues the controller-owner of every object of this kind when that changes.</summary>
    protected Informer WatchOwned(Informer informer, string ownerKind)
    {
        informer.OnChange(change =>
        {
            if (change.Resource.Controller is { } owner && owner.Kind == ownerKind)
            {
                Queue.Add(new ObjectKey(change.Resource.Namespace, owner.Name));
            }
        });
        return informer;
    }
}
