using System.Net;
using System.Net.Http.Headers;
using System.Threading.Channels;

namespace Weir.Proxy.Tests.Grpc;

/// <summary>How a call ended.</summary>
sealed record GrpcResult(int Status, string Message);

/// <summary>A call of gRPC's by .NET's own HTTP/2 client.</summary>
sealed class GrpcCall : IDisposable
{
    readonly Channel<byte[]> messages = Channel.CreateBounded<byte[]>(16);
    readonly CancellationTokenSource cancellation = new(TimeSpan.FromSeconds(20));
    readonly Task<HttpResponseMessage> response;
    Stream? content;

    /// <param name="headers">Sent with it.</param>
    public GrpcCall(HttpMessageInvoker client, string url, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, url)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new Messages(messages.Reader, cancellation.Token),
        };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        response = client.SendAsync(request, cancellation.Token);
    }

    public static HttpMessageInvoker Client() => new(new SocketsHttpHandler { UseProxy = false, EnableMultipleHttp2Connections = true });

    public ValueTask WriteAsync(byte[] message) => messages.Writer.WriteAsync(message, cancellation.Token);

    public void Complete() => messages.Writer.Complete();

    public void Cancel() => cancellation.Cancel();

    public Task<HttpResponseMessage> HeadAsync() => response;

    /// <returns>Null at the end.</returns>
    public async Task<byte[]?> ReadAsync()
    {
        content ??= await (await response).Content.ReadAsStreamAsync(cancellation.Token);
        return await GrpcFraming.ReadAsync(content, cancellation.Token);
    }

    public async Task<GrpcResult> FinishAsync()
    {
        Assert.Null(await ReadAsync());
        var answer = await response;
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return new GrpcResult(
            int.Parse(await TrailerAsync("grpc-status") ?? "-1", System.Globalization.CultureInfo.InvariantCulture),
            Uri.UnescapeDataString(await TrailerAsync("grpc-message") ?? ""));
    }

    /// <summary>From the trailers, or the head when that is all there was.</summary>
    public async Task<string?> TrailerAsync(string name)
    {
        var answer = await response;
        return answer.TrailingHeaders.TryGetValues(name, out var values) || answer.Headers.TryGetValues(name, out values) ? string.Join(",", values) : null;
    }

    public async Task<(byte[]? Answer, GrpcResult Result)> UnaryAsync(byte[] message)
    {
        await WriteAsync(message);
        Complete();
        var answer = await ReadAsync();
        return (answer, await FinishAsync());
    }

    public void Dispose()
    {
        cancellation.Cancel();
        cancellation.Dispose();
    }

    sealed class Messages(ChannelReader<byte[]> reader, CancellationToken cancellation) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.FlushAsync(cancellation);
            await foreach (var message in reader.ReadAllAsync(cancellation))
            {
                await GrpcFraming.WriteAsync(stream, message, cancellation);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = -1;
            return false;
        }
    }
}
