using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tracing;

/// <summary>
/// The exporters of one loop, by where their spans go: listeners that are updated without a change of their tracing share one, and those that
/// nobody has used for a while are let go.
/// </summary>
/// <param name="makeSink">One for each exporter.</param>
sealed class SpanExporters(EventLoop loop, Func<ISpanSink> makeSink, Action<Exception> report)
{
    const int UnusedMilliseconds = 60_000;

    readonly Dictionary<Destination, (SpanExporter Exporter, long UsedAt)> exporters = [];
    long droppedBefore;

    /// <summary>What decides about the requests to a collector; sampling and tags do not.</summary>
    readonly record struct Destination(SpanProtocol Protocol, LoadBalancing.ClusterSlot Cluster, string Path, string Host, string ServiceName)
    {
        public static Destination Of(TracingOptions options) => new(options.Protocol, options.Cluster, options.Path, options.Host, options.ServiceName);
    }

    public int Count => exporters.Count;

    /// <summary>Spans that no collector got. On the loop's thread, or as of a moment ago on another.</summary>
    public long Dropped { get; private set; }

    public SpanExporter For(TracingOptions options)
    {
        var key = Destination.Of(options);
        if (exporters.TryGetValue(key, out var known))
        {
            exporters[key] = (known.Exporter, loop.Now);
            return known.Exporter;
        }

        Trim(loop.Now);
        var added = new SpanExporter(loop, options, makeSink(), report);
        exporters[key] = (added, loop.Now);
        return added;
    }

    /// <summary>Now and then.</summary>
    public void Trim(long now)
    {
        foreach (var (key, (exporter, usedAt)) in exporters)
        {
            if (exporter.IsIdle && now - usedAt >= UnusedMilliseconds)
            {
                loop.Timers.Remove(exporter);
                droppedBefore += exporter.Dropped;
                exporters.Remove(key);
            }
        }

        Dropped = droppedBefore + exporters.Values.Sum(e => e.Exporter.Dropped);
    }
}
