using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tracing;

namespace Weir.Proxy.Tests;

public sealed class SpanExporterTests : IDisposable
{
    readonly EventLoop loop = new(0, TimeProvider.System);
    readonly ClusterSlot collector = new("collector");

    public void Dispose() => loop.Dispose();

    sealed class Sink : ISpanSink
    {
        public List<SpanBatch> Batches { get; } = [];
        public TaskCompletionSource<bool>? Answer { get; set; }

        public void Send(SpanBatch batch, Action<bool> done)
        {
            Batches.Add(batch);
            if (Answer is null)
            {
                done(true);
            }
            else
            {
                _ = TellAsync(Answer.Task, done);
            }
        }
    }

    static async Task TellAsync(Task<bool> answer, Action<bool> done) => done(await answer);

    TracingOptions Options(params SpanTag[] tags) => new(SpanProtocol.Otlp, collector, "/v1/traces", "collector", "shop", 1, 1, 256, tags);

    static Span Span(int bytes = 0) => new(
        new TraceContext { TraceLow = 1, SpanId = 2 }, true, "a", 1, 2, false, [new("http.url", new string('x', bytes))]);

    [Fact]
    public void Batches_are_bounded_in_number_and_in_bytes()
    {
        var sink = new Sink();
        var exporter = new SpanExporter(loop, Options(), sink, e => throw e);

        for (var i = 0; i < SpanBatches.MaximumBatch + 1; i++)
        {
            exporter.Add(Span());
        }

        for (var i = 0; i < 30; i++)
        {
            exporter.Add(Span(100_000));
        }

        exporter.OnDue();
        Assert.All(sink.Batches, b => Assert.InRange(b.Body.Length, 1, SpanBatches.MaximumBatchBytes));
        Assert.All(sink.Batches, b => Assert.InRange(b.Count, 1, SpanBatches.MaximumBatch));
        Assert.Equal(SpanBatches.MaximumBatch + 31, sink.Batches.Sum(b => b.Count));
        Assert.Equal((0, true), (exporter.Dropped, exporter.IsIdle));
    }

    [Theory]
    [InlineData(0, SpanBatches.MaximumBatch + SpanBatches.MaximumPending)]
    [InlineData(100_000, 60)]
    public async Task While_the_collector_hesitates_no_more_waits_than_a_bound(int bytes, int kept)
    {
        var sink = new Sink { Answer = new TaskCompletionSource<bool>() };
        var exporter = new SpanExporter(loop, Options(), sink, e => throw e);
        const int spans = 5000;

        for (var i = 0; i < spans; i++)
        {
            exporter.Add(Span(bytes));
        }

        Assert.InRange(spans - exporter.Dropped, kept / 2, kept);
        Assert.False(exporter.IsIdle);

        // What it does not take is dropped, and counted as well.
        var answer = sink.Answer;
        sink.Answer = null;
        var first = sink.Batches.Single();
        var before = exporter.Dropped;
        answer.SetResult(false);
        await answer.Task;
        Assert.True(SpinWait.SpinUntil(() => exporter.IsIdle, TimeSpan.FromSeconds(10)));
        Assert.Equal(before + first.Count, exporter.Dropped);
    }

    [Fact]
    public void A_sink_that_throws_loses_its_batch_and_nothing_else()
    {
        var reported = new List<Exception>();
        var exporter = new SpanExporter(loop, Options(), new Throwing(), reported.Add);

        exporter.Add(Span());
        exporter.OnDue();
        exporter.Add(Span());
        exporter.OnDue();

        Assert.Equal((2, 2), (reported.Count, exporter.Dropped));
    }

    sealed class Throwing : ISpanSink
    {
        public void Send(SpanBatch batch, Action<bool> done) => throw new InvalidOperationException("test");
    }

    [Fact]
    public void Updates_of_listeners_do_not_add_exporters_and_unused_ones_are_let_go()
    {
        var exporters = new SpanExporters(loop, () => new Sink(), e => throw e);

        var first = exporters.For(Options());
        for (var i = 0; i < 100; i++)
        {
            Assert.Same(first, exporters.For(Options(new SpanTag("update", $"{i}", []))));
        }

        exporters.For(Options() with { Path = "/other" });
        Assert.Equal(2, exporters.Count);
        exporters.Trim(loop.Now + 59_000);
        Assert.Equal(2, exporters.Count);
        exporters.Trim(loop.Now + 60_000);
        Assert.Equal(0, exporters.Count);
    }
}
