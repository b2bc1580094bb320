using Envoy.Config.Core.V3;
using Envoy.Service.Discovery.V3;
using Google.Protobuf;

namespace Weir.Xds.Client;

/// <summary>
/// The client's half of incremental ADS: keeps a stream to the server open, asks for all clusters and listeners and for the
/// endpoints and routes they name, and answers every response with an ACK or a NACK. After a break it says what it still has, and
/// is sent only what has changed since.
/// </summary>
/// <param name="connect">A connection to the server: a Unix or TCP socket.</param>
public sealed class AdsClient(
    Func<CancellationToken, Task<Stream>> connect, string authority, Node node, IConfigSink sink, TimeProvider time, Action<string> log)
{
    static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(50);
    static readonly TimeSpan MaximumBackoff = TimeSpan.FromSeconds(2);

    /// <summary>gRPC's code for a request that cannot be right.</summary>
    const int InvalidArgument = 3;
    const int MaximumReason = 8192;

    readonly Dictionary<string, HashSet<string>> subscribed = [];

    public async Task RunAsync(CancellationToken cancel)
    {
        var backoff = FirstBackoff;
        while (!cancel.IsCancellationRequested)
        {
            try
            {
                await ConnectAsync(() => backoff = FirstBackoff, cancel).ConfigureAwait(false);
                log("the control plane closed the stream");
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException or InvalidDataException or InvalidProtocolBufferException)
            {
                log($"control plane: {e.Message}");
            }

            await Task.Delay(backoff, time, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            backoff = backoff * 2 < MaximumBackoff ? backoff * 2 : MaximumBackoff;
        }
    }

    async Task ConnectAsync(Action onResponse, CancellationToken cancel)
    {
        await using var stream = new Http2Stream(await connect(cancel).ConfigureAwait(false));
        await stream.OpenAsync(authority, GrpcFraming.DeltaMethod, cancel).ConfigureAwait(false);
        subscribed.Clear();
        foreach (var type in new[] { XdsTypes.Cluster, XdsTypes.Listener })
        {
            await AskAsync(stream, type, [], [], isFirst: true, cancel).ConfigureAwait(false);
        }

        await SubscribeAsync(stream, cancel).ConfigureAwait(false);
        while (await stream.ReadAsync(cancel).ConfigureAwait(false) is { } bytes)
        {
            onResponse();
            await HandleAsync(DeltaDiscoveryResponse.Parser.ParseFrom(bytes), stream, cancel).ConfigureAwait(false);
        }
    }

    async Task HandleAsync(DeltaDiscoveryResponse response, Http2Stream outgoing, CancellationToken cancel)
    {
        var changed = response.Resources.Select(r => new ReceivedResource(r.Name, r.Version, r.Resource_.Value)).ToList();
        var refused = sink.Apply(response.TypeUrl, changed, response.RemovedResources);
        var answer = new DeltaDiscoveryRequest { TypeUrl = response.TypeUrl, ResponseNonce = response.Nonce };
        if (refused.Count > 0)
        {
            var message = string.Join("; ", refused.Order().Select(r => r.Value));
            log($"refused of {response.TypeUrl}: {message}");
            answer.ErrorDetail = new Google.Rpc.Status { Code = InvalidArgument, Message = message.Length <= MaximumReason ? message : message[..MaximumReason] };
        }

        await outgoing.WriteAsync(GrpcFraming.Encode(answer), cancel).ConfigureAwait(false);
        await SubscribeAsync(outgoing, cancel).ConfigureAwait(false);
    }

    /// <summary>Follows what clusters and listeners refer to.</summary>
    async Task SubscribeAsync(Http2Stream outgoing, CancellationToken cancel)
    {
        foreach (var type in new[] { XdsTypes.Secret, XdsTypes.Endpoints, XdsTypes.Route })
        {
            var wanted = sink.References(type);
            var isFirst = !subscribed.TryGetValue(type, out var current);
            current ??= [];
            var added = wanted.Where(n => !current.Contains(n)).ToHashSet();
            var dropped = current.Where(n => !wanted.Contains(n)).ToList();
            if (added.Count > 0 || dropped.Count > 0)
            {
                subscribed[type] = [.. wanted];
                await AskAsync(outgoing, type, added, dropped, isFirst, cancel).ConfigureAwait(false);
            }
        }
    }

    Task AskAsync(Http2Stream outgoing, string type, HashSet<string> added, List<string> dropped, bool isFirst, CancellationToken cancel)
    {
        var request = new DeltaDiscoveryRequest { TypeUrl = type, Node = node };
        request.ResourceNamesSubscribe.AddRange(added);
        request.ResourceNamesUnsubscribe.AddRange(dropped);
        if (isFirst)
        {
            var isWildcard = added.Count == 0;
            foreach (var (name, version) in sink.Versions(type))
            {
                if (isWildcard || added.Contains(name))
                {
                    request.InitialResourceVersions.Add(name, version);
                }
            }
        }

        return outgoing.WriteAsync(GrpcFraming.Encode(request), cancel);
    }
}
