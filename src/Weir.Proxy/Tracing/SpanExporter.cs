using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tracing;

/// <summary>
/// Sends one loop's spans to a collector, a batch at a time, on the loop itself. What a collector does not take is dropped and counted.
/// </summary>
/// <param name="report">Told of what a sink throws, which is a defect of its own.</param>
sealed class SpanExporter(EventLoop loop, TracingOptions options, ISpanSink sink, Action<Exception> report) : TimerEntry
{
    const int FlushMilliseconds = 1000;

    readonly SpanBatches batches = new(options);
    bool isSending;

    public long Dropped => batches.Dropped;

    /// <summary>Nothing waits and nothing is under way: it may be let go.</summary>
    public bool IsIdle => !isSending && batches.Count == 0;

    public void Add(Span span)
    {
        if (!batches.TryAdd(span))
        {
            return;
        }

        if (batches.HasFullBatch)
        {
            OnDue();
        }
        else if (batches.Count == 1 && !isSending)
        {
            loop.Timers.Set(this, loop.Now + FlushMilliseconds);
        }
    }

    public override void OnDue()
    {
        while (!isSending && batches.Take() is { } batch)
        {
            isSending = isInLoop = true;
            try
            {
                sink.Send(batch, isTaken => OnSent(batch, isTaken));
            }
            catch (Exception e)
            {
                report(e);
                OnSent(batch, isTaken: false);
            }

            isInLoop = false;
        }
    }

    bool isInLoop;

    void OnSent(SpanBatch batch, bool isTaken)
    {
        isSending = false;
        if (!isTaken)
        {
            batches.Drop(batch.Count);
        }

        if (!isInLoop)
        {
            OnDue();
        }
    }
}
