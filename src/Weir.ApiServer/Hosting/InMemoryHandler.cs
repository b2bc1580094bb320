using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Weir.ApiServer.Hosting;

/// <summary>
/// Lets the programs in this process be ordinary clients of the API server without a socket: each request runs through the same
/// handler as one from the network, and the answer streams back with back-pressure.
/// </summary>
public sealed class InMemoryHandler(RequestDelegate server) : HttpMessageHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var body = request.Content is null ? [] : await request.Content.ReadAsByteArrayAsync(cancellationToken);
        var aborted = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var pipe = new Pipe();
        var response = new ResponseStream(pipe.Writer.AsStream());
        var context = CreateContext(request, body, response, aborted);
        _ = RunAsync(context, pipe.Writer, response);
        await response.Started.Task.WaitAsync(cancellationToken);
        var message = new HttpResponseMessage((HttpStatusCode)context.Response.StatusCode)
        {
            RequestMessage = request,
            Content = new StreamContent(new AbortOnDispose(pipe.Reader.AsStream(), aborted)),
        };
        foreach (var (name, values) in context.Response.Headers)
        {
            if (!message.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values))
            {
                message.Content.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values);
            }
        }

        return message;
    }

    async Task RunAsync(DefaultHttpContext context, PipeWriter writer, ResponseStream response)
    {
        Exception? failure = null;
        try
        {
            await Task.Yield();
            await server(context);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            failure = e;
        }

        if (failure is not null && !response.Started.Task.IsCompleted)
        {
            response.Started.TrySetException(new HttpRequestException(failure.Message, failure));
        }

        response.Started.TrySetResult();
        await writer.CompleteAsync(failure);
    }

    static DefaultHttpContext CreateContext(HttpRequestMessage request, byte[] body, Stream response, CancellationTokenSource aborted)
    {
        var uri = request.RequestUri!;
        var features = new FeatureCollection();
        features.Set<IHttpRequestFeature>(new HttpRequestFeature
        {
            Method = request.Method.Method,
            Path = uri.AbsolutePath,
            QueryString = uri.Query,
            Scheme = "http",
            Protocol = "HTTP/1.1",
            Body = new MemoryStream(body),
        });
        features.Set<IHttpResponseFeature>(new HttpResponseFeature());
        features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(response));
        features.Set<IHttpRequestLifetimeFeature>(new Lifetime(aborted));
        var context = new DefaultHttpContext(features);
        foreach (var (name, values) in request.Headers.Concat(request.Content?.Headers.AsEnumerable() ?? []))
        {
            context.Request.Headers.Append(name, values.ToArray());
        }

        context.Request.ContentLength = body.Length;
        return context;
    }

    sealed class Lifetime(CancellationTokenSource aborted) : IHttpRequestLifetimeFeature
    {
        public CancellationToken RequestAborted { get; set; } = aborted.Token;

        public void Abort() => aborted.Cancel();
    }

    /// <summary>Says when the first byte, or the first flush, has fixed status and headers.</summary>
    sealed class ResponseStream(Stream inner) : PassThroughStream(inner)
    {
        public TaskCompletionSource Started { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Started.TrySetResult();
            return Inner.WriteAsync(buffer, cancellationToken);
        }

        public override Task FlushAsync(CancellationToken cancellationToken)
        {
            Started.TrySetResult();
            return Inner.FlushAsync(cancellationToken);
        }
    }

    /// <summary>A client that lets go of the answer ends the request, as closing a connection does.</summary>
    sealed class AbortOnDispose(Stream inner, CancellationTokenSource aborted) : PassThroughStream(inner)
    {
        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                aborted.Cancel();
                Inner.Dispose();
            }

            base.Dispose(disposing);
        }
    }

    abstract class PassThroughStream(Stream inner) : Stream
    {
        protected Stream Inner { get; } = inner;

        public override bool CanRead => Inner.CanRead;
        public override bool CanSeek => false;
        public override bool CanWrite => Inner.CanWrite;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            Inner.ReadAsync(buffer, cancellationToken);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            Inner.ReadAsync(buffer, offset, count, cancellationToken);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            Inner.WriteAsync(buffer, cancellationToken);

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Flush() => Inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => Inner.Read(buffer, offset, count);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Inner.Write(buffer, offset, count);
    }
}
