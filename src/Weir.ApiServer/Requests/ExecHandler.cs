using System.IO.Pipelines;
using System.Net.WebSockets;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Weir.Resources;

namespace Weir.ApiServer.Requests;

/// <summary>
/// Serves <c>pods/exec</c> over WebSocket subprotocols <c>v5</c> and <c>v4.channel.k8s.io</c>: each binary message starts with a
/// channel byte (0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 resize; v5: 255 closes the channel that follows).
/// </summary>
static class ExecHandler
{
    const int BufferSize = 16 * 1024;

    static readonly TimeSpan CloseLimit = TimeSpan.FromSeconds(2);

    public static async Task HandleAsync(HttpContext context, IPodAccess pods, Resource pod, string container)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            await ApiHandler.WriteStatusAsync(context, ApiStatus.BadRequest(
                "exec needs a WebSocket upgrade; kubectl before 1.31 asks for SPDY: set KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true (1.29, 1.30)"));
            return;
        }

        var protocol = context.WebSockets.WebSocketRequestedProtocols.FirstOrDefault(p => p is "v5.channel.k8s.io" or "v4.channel.k8s.io");
        using var socket = await context.WebSockets.AcceptWebSocketAsync(protocol);
        using var sending = new SemaphoreSlim(1);
        var query = context.Request.Query;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        var input = new Pipe();
        var receiving = ReceiveAsync(socket, input.Writer, ended);
        var status = await RunAsync(pods, pod, container, [.. query["command"].OfType<string>()],
            query["stdin"] == "true" ? input.Reader.AsStream() : null,
            new ChannelStream(socket, sending, 1), new ChannelStream(socket, sending, 2), ended.Token);
        await new ChannelStream(socket, sending, 3).WriteAsync(System.Text.Encoding.UTF8.GetBytes(status.ToJsonString()));
        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);

        // The client answers the close. Breaking off before could reset the connection under what it has yet to read.
        await Task.WhenAny(receiving, Task.Delay(CloseLimit, TimeProvider.System));
        await ended.CancelAsync();
        await receiving;
    }

    static async Task<JsonObject> RunAsync(
        IPodAccess pods, Resource pod, string container, string[] command, Stream? input, Stream output, Stream error, CancellationToken cancel)
    {
        try
        {
            var code = await pods.ExecAsync(pod, container, command, input, output, error, cancel);
            return code == 0
                ? new JsonObject { ["metadata"] = new JsonObject(), ["status"] = "Success" }
                : new JsonObject
                {
                    ["metadata"] = new JsonObject(),
                    ["status"] = "Failure",
                    ["reason"] = "NonZeroExitCode",
                    ["message"] = $"command terminated with non-zero exit code: exit status {code}",
                    ["details"] = new JsonObject
                    {
                        ["causes"] = new JsonArray(new JsonObject { ["reason"] = "ExitCode", ["message"] = code.ToString() }),
                    },
                };
        }
        catch (Exception e) when (e is IOException or System.ComponentModel.Win32Exception or OperationCanceledException or InvalidOperationException)
        {
            return new ApiStatus(500, "InternalError", e.Message).ToJson();
        }
    }

    static async Task ReceiveAsync(WebSocket socket, PipeWriter input, CancellationTokenSource ended)
    {
        var buffer = new byte[BufferSize];
        var atStart = true;
        byte channel = 0;
        try
        {
            while (true)
            {
                var received = await socket.ReceiveAsync(buffer.AsMemory(), ended.Token);
                if (received.MessageType == WebSocketMessageType.Close)
                {
                    break;
                }

                var data = buffer.AsMemory(0, received.Count);
                if (atStart && data.Length > 0)
                {
                    channel = data.Span[0];
                    data = data[1..];
                }

                atStart = received.EndOfMessage;
                if (channel == 255 && data.Length > 0 && data.Span[0] == 0)
                {
                    await input.CompleteAsync();
                }
                else if (channel == 0 && data.Length > 0)
                {
                    await input.WriteAsync(data, ended.Token);
                }
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or InvalidOperationException)
        {
            // The client has gone, or the command has ended: either way there is no more input.
        }

        await input.CompleteAsync();
        await ended.CancelAsync();
    }

    sealed class ChannelStream(WebSocket socket, SemaphoreSlim sending, byte channel) : Stream
    {
        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var message = new byte[buffer.Length + 1];
            message[0] = channel;
            buffer.CopyTo(message.AsMemory(1));
            await sending.WaitAsync(cancellationToken);
            try
            {
                if (socket.State == WebSocketState.Open)
                {
                    await socket.SendAsync(message.AsMemory(), WebSocketMessageType.Binary, true, cancellationToken);
                }
            }
            finally
            {
                sending.Release();
            }
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
