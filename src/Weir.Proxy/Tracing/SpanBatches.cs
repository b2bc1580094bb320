using System.Text;

namespace Weir.Proxy.Tracing;

/// <summary>A request of spans to a collector, encoded.</summary>
/// <param name="Count">Of its spans.</param>
readonly record struct SpanBatch(TracingOptions Options, string ContentType, byte[] Body, int Count);

/// <summary>Carries batches to a collector, on the loop they come from.</summary>
interface ISpanSink
{
    /// <param name="done">Told once whether the collector took it; one batch at a time.</param>
    void Send(SpanBatch batch, Action<bool> done);
}

/// <summary>
/// Spans that wait to be sent, bounded in number and in bytes. What does not fit is dropped and counted: requests never wait for a
/// collector. Of one loop.
/// </summary>
sealed class SpanBatches(TracingOptions options)
{
    public const int MaximumPending = 2048;
    public const int MaximumPendingBytes = 4 * 1024 * 1024;
    public const int MaximumBatch = 256;
    public const int MaximumBatchBytes = 512 * 1024;

    /// <summary>Of identifiers, times and framing, beside the texts.</summary>
    const int SpanOverhead = 160;
    const int TagOverhead = 16;

    readonly Queue<(Span Span, int Bytes)> pending = new();
    long dropped;

    public int Count => pending.Count;

    public int Bytes { get; private set; }

    /// <summary>Spans that did not fit. Any thread may read it.</summary>
    public long Dropped => Volatile.Read(ref dropped);

    public bool HasFullBatch => pending.Count >= MaximumBatch || Bytes >= MaximumBatchBytes;

    public bool TryAdd(Span span)
    {
        var bytes = SizeOf(span);
        if (pending.Count >= MaximumPending || Bytes + bytes > MaximumPendingBytes || bytes > MaximumBatchBytes)
        {
            Drop(1);
            return false;
        }

        pending.Enqueue((span, bytes));
        Bytes += bytes;
        return true;
    }

    public void Drop(int spans) => Volatile.Write(ref dropped, dropped + spans);

    /// <summary>The oldest, as many as go together; null when there are none.</summary>
    public SpanBatch? Take()
    {
        var spans = new List<Span>();
        var bytes = 0;
        while (spans.Count < MaximumBatch && pending.TryPeek(out var next) && (spans.Count == 0 || bytes + next.Bytes <= MaximumBatchBytes))
        {
            spans.Add(pending.Dequeue().Span);
            bytes += next.Bytes;
        }

        Bytes -= bytes;
        if (spans.Count == 0)
        {
            return null;
        }

        var (type, body) = SpanEncoding.Encode(options, spans);
        return new SpanBatch(options, type, body, spans.Count);
    }

    /// <summary>About what it takes on the wire; never less than its texts.</summary>
    static int SizeOf(Span span)
    {
        var bytes = SpanOverhead + Encoding.UTF8.GetByteCount(span.Name);
        foreach (var (key, value) in span.Tags)
        {
            bytes += TagOverhead + Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(value);
        }

        return bytes;
    }
}
