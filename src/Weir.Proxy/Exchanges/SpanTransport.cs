using System.Text;
using Weir.Proxy.Tracing;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Exchanges;

/// <summary>Brings batches of spans to a collector's cluster, as any other request: by its pools, with its TLS, within its limits.</summary>
sealed class SpanTransport(Upstreams upstreams) : ISpanSink
{
    const int TimeoutMilliseconds = 5000;

    readonly SideCall call = new(upstreams);

    public void Send(SpanBatch batch, Action<bool> done)
    {
        var options = batch.Options;
        if (options.Cluster.Current is not { } cluster || call.IsBusy)
        {
            done(false);
            return;
        }

        call.Send(
            new SideRequest(cluster, "POST", options.Host, options.Path, [("content-type"u8.ToArray(), Encoding.ASCII.GetBytes(batch.ContentType))], batch.Body, TimeoutMilliseconds),
            status => done(status is >= 200 and < 300));
    }
}
