using System.Threading.Channels;
using Envoy.Config.Core.V3;
using Google.Protobuf;

namespace Weir.Xds.Server;

/// <summary>
/// What the two variants of the server's half of an ADS stream share: requests are read by one task and handled by another, which also
/// pushes what has changed.
/// </summary>
public abstract class DiscoveryStream<TRequest>(ISnapshotSource source, Stream requests, Stream responses, MessageParser<TRequest> parser)
    where TRequest : IMessage<TRequest>
{
    const int MaximumPendingRequests = 64;

    /// <summary>A proxy that has not answered this many responses is sent no changes until it has; they are then sent as one.</summary>
    const int MaximumOutstanding = 256;

    readonly HashSet<string> outstanding = [];
    long nonce;

    /// <summary>The revision that was sent whole to those who had asked by then.</summary>
    protected long PushedRevision { get; set; }

    protected abstract Node? NodeOf(TRequest request);

    protected abstract Task HandleAsync(TRequest request, ISnapshotSubscription subscription, XdsSnapshot snapshot, CancellationToken cancel);

    protected abstract Task PushAsync(XdsSnapshot snapshot, CancellationToken cancel);

    /// <summary>Serves until the proxy closes the stream or the token is cancelled.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        var incoming = Channel.CreateBounded<TRequest>(MaximumPendingRequests);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var reading = ReadAsync(incoming.Writer, ended.Token);
        try
        {
            var first = await incoming.Reader.ReadAsync(ended.Token).ConfigureAwait(false);
            using var subscription = source.Subscribe(NodeOf(first) ?? new());
            var seen = subscription.Current;
            await HandleAsync(first, subscription, seen, ended.Token).ConfigureAwait(false);
            await ServeAsync(incoming.Reader, subscription, seen, ended.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or ChannelClosedException or IOException)
        {
            // The proxy has gone; it will be back.
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await reading.ConfigureAwait(false);
        }
    }

    async Task ServeAsync(ChannelReader<TRequest> incoming, ISnapshotSubscription subscription, XdsSnapshot seen, CancellationToken cancel)
    {
        var changed = subscription.ChangedAsync(seen, cancel);
        var arrived = incoming.WaitToReadAsync(cancel).AsTask();
        while (true)
        {
            var mayPush = outstanding.Count < MaximumOutstanding;
            Task work = mayPush ? Task.WhenAny(changed, arrived) : arrived;
            await work.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (arrived.IsCompleted)
            {
                if (!await arrived.ConfigureAwait(false))
                {
                    return;
                }

                while (incoming.TryRead(out var request))
                {
                    await HandleAsync(request, subscription, seen, cancel).ConfigureAwait(false);
                }

                arrived = incoming.WaitToReadAsync(cancel).AsTask();
            }

            if (mayPush && changed.IsCompleted)
            {
                await changed.ConfigureAwait(false);
                seen = subscription.Current;
                await PushAsync(seen, cancel).ConfigureAwait(false);
                PushedRevision = seen.Revision;
                changed = subscription.ChangedAsync(seen, cancel);
                Settle(subscription);
            }
        }
    }

    async Task ReadAsync(ChannelWriter<TRequest> incoming, CancellationToken cancel)
    {
        try
        {
            while (await GrpcFraming.ReadAsync(requests, cancel).ConfigureAwait(false) is { } bytes)
            {
                await incoming.WriteAsync(parser.ParseFrom(bytes), cancel).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or InvalidProtocolBufferException or InvalidDataException)
        {
            // Ends below like an orderly close.
        }
        finally
        {
            incoming.TryComplete();
        }
    }

    /// <summary>A nonce for a response that an answer is now expected to.</summary>
    protected string NextNonce()
    {
        var next = (++nonce).ToString();
        outstanding.Add(next);
        return next;
    }

    /// <summary>A proxy need not answer what another response has overtaken.</summary>
    protected void Overtaken(string earlier) => outstanding.Remove(earlier);

    protected async Task SendAsync(IMessage response, CancellationToken cancel)
    {
        await responses.WriteAsync(GrpcFraming.Encode(response), cancel).ConfigureAwait(false);
        await responses.FlushAsync(cancel).ConfigureAwait(false);
    }

    /// <summary>The proxy has answered the response with this nonce.</summary>
    protected void Answered(string ofNonce, string type, Google.Rpc.Status? error, ISnapshotSubscription subscription)
    {
        outstanding.Remove(ofNonce);
        if (error is not null)
        {
            subscription.Reject(type, error.Message);
        }
        else
        {
            Settle(subscription);
        }
    }

    void Settle(ISnapshotSubscription subscription)
    {
        if (outstanding.Count == 0)
        {
            subscription.Acknowledge(PushedRevision);
        }
    }
}
