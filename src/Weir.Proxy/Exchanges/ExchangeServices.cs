using Weir.Proxy.Http;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tracing;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Exchanges;

/// <summary>What the exchanges of one loop share, and where requests become exchanges.</summary>
sealed class ExchangeServices : RequestHandler
{
    readonly Spares<Exchange> spares = new(65_536);
    readonly SpanExporters exporters;

    /// <param name="report">Told of defects.</param>
    public ExchangeServices(EventLoop loop, Upstreams upstreams, StatsRegistry stats, RequestIdSource ids, Action<Exception> report)
    {
        Loop = loop;
        Upstreams = upstreams;
        Stats = stats;
        RequestIds = ids;
        exporters = new SpanExporters(loop, () => new SpanTransport(upstreams), report);
    }

    public EventLoop Loop { get; }

    public Upstreams Upstreams { get; }

    public StatsRegistry Stats { get; }

    public RequestIdSource RequestIds { get; }

    /// <summary>Spans that no collector got, as of a moment ago.</summary>
    public long DroppedSpans => exporters.Dropped;

    /// <summary>Requests are refused, for want of memory.</summary>
    public Func<bool> IsOverloaded { get; init; } = static () => false;

    public override void Begin(ServerStream stream, Cause refusal, byte[]? text) =>
        (spares.TryTake() ?? new Exchange(this)).Begin(stream, refusal, text);

    public void Return(Exchange exchange) => spares.TryPut(exchange);

    public void Trim()
    {
        spares.Trim();
        exporters.Trim(Loop.Now);
    }

    public SpanExporter ExporterFor(TracingOptions options) => exporters.For(options);
}
