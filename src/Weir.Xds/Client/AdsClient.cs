using System.Net.Sockets;
using Envoy.Config.Core.V3;
using Google.Protobuf;
using Weir.Xds.Http2;
using Weir.Xds.Transport;

namespace Weir.Xds.Client;

/// <summary>
/// The client's half of ADS: keeps a stream to the server open, asks for all clusters and listeners and for what they name, and answers
/// every response with an ACK or a NACK. Whatever ends a stream, another is opened after a wait that grows from failure to failure.
/// </summary>
/// <param name="random">Spreads the attempts of many clients of one server.</param>
/// <param name="log">Told what happens, one line each.</param>
public sealed class AdsClient(
    XdsServer server, Node node, IConfigSink sink, AdsClientOptions options, TimeProvider time, Random random, Action<string> log)
{
    /// <summary>However often a server finds that pings come too often, they never come less often than this.</summary>
    static readonly TimeSpan LongestPingInterval = TimeSpan.FromMinutes(10);

    readonly XdsConnector connector = new(server, time, options.Describe);
    readonly Dictionary<string, string> acceptedVersions = [];
    KeepAliveOptions keepAlive = options.KeepAlive;
    bool isIncremental = options.Variant != AdsVariant.StateOfTheWorld;
    TimeSpan backoff = options.FirstBackoff;

    volatile OpenStream? open;

    sealed record OpenStream(Http2Call Call, IAdsConversation Conversation);

    public AdsStatus Status { get; } = new();

    /// <summary>
    /// What was refused of this type is in force by now, all of it. The control plane is told on the stream that is open; on the next
    /// one it is among what the proxy says that it has.
    /// </summary>
    public void Recover(string type)
    {
        if (open is { } stream && stream.Conversation.Recover(type))
        {
            stream.Call.Wake();
        }
    }

    /// <summary>Runs until it is cancelled, and ends in no other way.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested)
        {
            try
            {
                if (await CallAsync(cancel).ConfigureAwait(false) is { } end)
                {
                    OnEnd(end);
                }
            }
            catch (Exception e) when (e is OperationCanceledException && cancel.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                OnFailure(e);
            }

            Status.IsConnected = false;
            await Task.Delay(Jittered(backoff), time, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            backoff = backoff * 2 < options.MaximumBackoff ? backoff * 2 : options.MaximumBackoff;
        }
    }

    /// <returns>How the server ended the stream; null when there was no connection.</returns>
    async Task<CallEnd?> CallAsync(CancellationToken cancel)
    {
        Status.CountStream();
        var context = new AdsContext(node, sink, Status, log, OnResponse);
        IAdsConversation conversation = isIncremental ? new DeltaConversation(context) : new StateOfTheWorldConversation(context, acceptedVersions);
        var (transport, failure) = await connector.ConnectAsync(cancel).ConfigureAwait(false);
        if (transport is null)
        {
            cancel.ThrowIfCancellationRequested();
            log($"control plane: {failure}");
            return null;
        }

        await using var call = new Http2Call(transport, conversation, keepAlive, time);
        conversation.Begin();
        var request = new CallRequest(server.Tls is not null, server.Authority, conversation.Method, node.UserAgentName, server.Metadata);
        open = new OpenStream(call, conversation);
        try
        {
            return await call.RunAsync(request, cancel).ConfigureAwait(false);
        }
        finally
        {
            open = null;
        }
    }

    void OnResponse()
    {
        Status.CountResponse();
        Status.IsConnected = true;
        backoff = options.FirstBackoff;
    }

    void OnEnd(CallEnd end)
    {
        log(end.ToString());
        if (end.IsUnimplemented && isIncremental && options.Variant == AdsVariant.Automatic)
        {
            isIncremental = false;
            log("the control plane does not have the incremental variant: state of the world is used");
        }
    }

    void OnFailure(Exception e)
    {
        if (e is TooManyPingsException)
        {
            var interval = keepAlive.Interval * 2;
            keepAlive = keepAlive with { Interval = interval < LongestPingInterval ? interval : LongestPingInterval };
            log($"control plane: {e.Message}; from now on after {keepAlive.Interval.TotalSeconds:0.###} s of silence");
        }
        else if (e is IOException or SocketException or InvalidDataException or InvalidProtocolBufferException or OperationCanceledException)
        {
            log($"control plane: {options.Describe(e)}");
        }
        else
        {
            Status.CountUnexpected();
            log($"unexpected error, the stream to the control plane is opened again: {e.ToString().ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>Between half of it and the whole.</summary>
    TimeSpan Jittered(TimeSpan wait) => wait * (0.5 + (random.NextDouble() / 2));
}
