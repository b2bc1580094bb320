using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Listeners;

/// <summary>The workers of a process, which are told from other threads what has changed and asked what they have done.</summary>
/// <param name="serving">Those that serve traffic.</param>
/// <param name="administration">Serves the proxy's own pages, on a thread of its own: what they take holds up no request, and no request holds up a probe.</param>
sealed class WorkerGroup(Worker[] serving, Worker administration)
{
    /// <summary>For a request that is on its way on a connection that was idle when draining began.</summary>
    static readonly TimeSpan DrainGrace = TimeSpan.FromSeconds(1);

    readonly Worker[] all = [.. serving, administration];

    public int ActiveConnections => serving.Sum(w => w.Connections.Count);

    public int Descriptors => serving.Sum(w => w.Loop.Watched);

    public long DroppedSpans => serving.Sum(w => w.Exchanges.DroppedSpans);

    public long Http2Floods => serving.Sum(w => w.Http2Floods);

    public long ShedConnections => serving.Sum(w => w.ShedConnections);

    public (long Done, long Failed) Handshakes => (serving.Sum(w => w.HandshakesDone), serving.Sum(w => w.HandshakesFailed));

    Worker[] For(bool isOwn) => isOwn ? [administration] : serving;

    public int CountFor(bool isOwn) => For(isOwn).Length;

    /// <param name="isOwn">Whether a listener, by its name, is one of the proxy's own pages.</param>
    public void Apply(AddressChanges changes, Func<string, bool> isOwn)
    {
        foreach (var address in changes.Gone)
        {
            Post(all, w => w.StopListening(address));
        }

        foreach (var (address, name) in changes.Renamed)
        {
            Post(all, w => w.Rename(address, name));
        }

        foreach (var (address, name, descriptors) in changes.Added)
        {
            var workers = For(isOwn(name));
            foreach (var (i, descriptor) in descriptors.Index())
            {
                var worker = workers[i % workers.Length];
                worker.Loop.Post(() => worker.Listen(address, descriptor, name));
            }
        }
    }

    /// <summary>Lets go of the connections of filter chains that are gone, each with its next answer.</summary>
    public void RetireWhere(Func<FilterChain, bool> isGone) => Post(serving, w => w.RetireWhere(isGone));

    /// <summary>Closes what is idle to endpoints that are no longer there.</summary>
    public void RetireEndpoints(Cluster? before, Cluster? now)
    {
        if (before is null || ReferenceEquals(before, now))
        {
            return;
        }

        var kept = now?.All.Endpoints.Select(e => e.State).ToHashSet() ?? [];
        foreach (var state in before.All.Endpoints.Select(e => e.State).Where(s => !kept.Contains(s)))
        {
            Post(serving, w => state.ByLoop[w.Loop.Index]?.Dispose());
        }
    }

    static void Post(Worker[] workers, Action<Worker> action) => Array.ForEach(workers, w => w.Loop.Post(() => action(w)));

    /// <summary>Takes no more connections.</summary>
    /// <returns>Done when no loop accepts any more.</returns>
    public Task BeginDrain() => OnServing(static w => w.Drain());

    /// <summary>Stops accepting and finishes what is being served; cuts what is left when the limit is reached, and logs it as well.</summary>
    public async Task DrainAsync(TimeSpan limit, TimeProvider time)
    {
        // Counting before that would miss who is accepted in between.
        await BeginDrain().ConfigureAwait(false);
        var start = time.GetUtcNow();
        var deadline = start + limit;
        var isGraceOver = false;
        while (time.GetUtcNow() < deadline && Array.Exists(serving, w => w.Connections.Count > 0))
        {
            if (!isGraceOver && time.GetUtcNow() - start >= DrainGrace)
            {
                isGraceOver = true;
                Post(serving, static w => w.CloseIdle());
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10), time).ConfigureAwait(false);
        }

        await OnServing(static w => w.Cut()).ConfigureAwait(false);
    }

    /// <returns>Done when each has done it.</returns>
    Task OnServing(Action<Worker> action) => Task.WhenAll(serving.Select(w =>
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        w.Loop.Post(() =>
        {
            try
            {
                action(w);
            }
            finally
            {
                done.SetResult();
            }
        });
        return done.Task;
    }));
}
