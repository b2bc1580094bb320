using System.Text;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tracing;

/// <summary>
/// Sends one loop's spans to a collector, a batch at a time, on the loop itself. What a collector does not take is dropped and
/// counted: requests never wait for it.
/// </summary>
sealed class SpanExporter(Worker worker, TracingOptions options) : TimerEntry
{
    const int MaximumPending = 2048;
    const int BatchSize = 256;
    const int FlushMilliseconds = 1000;
    const int TimeoutMilliseconds = 5000;

    readonly List<Span> pending = [];
    bool isSending;

    public long Dropped { get; private set; }

    public void Add(Span span)
    {
        if (pending.Count >= MaximumPending)
        {
            Dropped++;
            return;
        }

        pending.Add(span);
        if (pending.Count >= BatchSize)
        {
            OnDue();
        }
        else if (pending.Count == 1 && !isSending)
        {
            worker.Loop.Timers.Set(this, worker.Loop.Now + FlushMilliseconds);
        }
    }

    public override void OnDue()
    {
        if (!isSending && pending.Count > 0)
        {
            isSending = true;
            _ = SendAllAsync();
        }
    }

    async Task SendAllAsync()
    {
        while (pending.Count > 0)
        {
            var batch = pending.GetRange(0, Math.Min(pending.Count, BatchSize));
            pending.RemoveRange(0, batch.Count);
            if (!await SendAsync(batch))
            {
                Dropped += batch.Count;
            }
        }

        isSending = false;
    }

    async ValueTask<bool> SendAsync(List<Span> batch)
    {
        if (options.Cluster.Current is not { } cluster
            || worker.Balancer.Pick(cluster, cluster.All, null, null) is not { } endpoint
            || AsyncSocket.Create(worker.Loop) is not { } socket)
        {
            return false;
        }

        try
        {
            var (type, body) = SpanEncoding.Encode(options, batch);
            var head = Encoding.ASCII.GetBytes(
                $"POST {options.Path} HTTP/1.1\r\nhost: {options.Host}\r\ncontent-type: {type}\r\ncontent-length: {body.Length}\r\nconnection: close\r\n\r\n");
            var answer = new byte[512];
            return await socket.ConnectAsync(endpoint.Address, cluster.ConnectTimeoutMilliseconds) == 0
                && await socket.WriteAsync(head, TimeoutMilliseconds) > 0
                && await socket.WriteAsync(body, TimeoutMilliseconds) > 0
                && await socket.ReadAsync(answer, TimeoutMilliseconds) > 12
                && answer.AsSpan(9, 1).SequenceEqual("2"u8);
        }
        finally
        {
            socket.Close();
        }
    }
}
